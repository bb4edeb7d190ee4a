//! Start: options from the environment, and what libc has told us of itself.
//!
//! Contract: [`start`] runs once, on the only thread, from `.preinit_array` (static library) or a constructor (shared
//! library); allocations may come before it and work with the defaults. Afterwards everything here is read-only.

pub mod compressed;
pub mod options;
mod syntax;

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use spin::Once;

use crate::base::Addr;
use crate::base::text::Text;
pub use options::Options;

/// What the C side learned before the start.
pub struct Environment<'a> {
    /// True in a process whose environment comes from somebody less privileged (AT_SECURE, getauxval(3)): no option is
    /// taken from it then (invariant 7).
    pub secure: bool,
    /// What `__lsan_default_options()` of the program returned.
    pub default_options: Option<&'a [u8]>,
    /// The variable LSAN_OPTIONS.
    pub lsan_options: Option<&'a [u8]>,
    /// The variable STANDSTILL_OPTIONS. It is read last and wins.
    pub standstill_options: Option<&'a [u8]>,
    /// An address on the stack that the kernel made for the program (AT_RANDOM, getauxval(3)).
    pub on_first_stack: Addr,
}

/// What was said, and where.
type Source<'a> = (Option<&'a [u8]>, &'static str);

static OPTIONS: Once<Options> = Once::new();
static ON_FIRST_STACK: AtomicUsize = AtomicUsize::new(0);

/// Reads the options, calling `complain` with one line for each that is unknown or bad. Of those in the environment the
/// command standstill complains where it runs the program: once, and not again in each child process.
pub fn start(environment: &Environment<'_>, complain: &mut dyn FnMut(&str)) {
    ON_FIRST_STACK.store(environment.on_first_stack.get(), Relaxed);
    OPTIONS.call_once(|| {
        let mut options = Options::DEFAULT;
        let program = [(environment.default_options, "__lsan_default_options")];
        let outside = [
            (environment.lsan_options, "LSAN_OPTIONS"),
            (environment.standstill_options, "STANDSTILL_OPTIONS"),
        ];
        let outside = if environment.secure { &[][..] } else { &outside[..] };
        let apply = |list: &[Source<'_>], options: &mut Options, complain: &mut dyn FnMut(&str)| {
            for (text, source) in list {
                let Some(text) = text else { continue };
                options.apply(text, &mut |problem| {
                    let line = Text::<512>::of(format_args!("Standstill: {source}: {problem}"));
                    complain(line.as_str());
                });
            }
        };
        apply(&program, &mut options, complain);
        apply(outside, &mut options, &mut |_| {});
        if options.report_dir.as_str().is_empty() {
            // Once more, to complain now that it is known who does.
            apply(outside, &mut options, complain);
            options.idle(&mut |problem| {
                complain(Text::<512>::of(format_args!("Standstill: {problem}")).as_str());
            });
        }
        options
    });
}

/// See [`Environment`]; null before [`start`].
pub fn on_first_stack() -> Addr {
    Addr::new(ON_FIRST_STACK.load(Relaxed))
}

/// The options in force; the defaults before [`start`].
pub fn options() -> &'static Options {
    static DEFAULT: Options = Options::DEFAULT;
    OPTIONS.get().unwrap_or(&DEFAULT)
}
