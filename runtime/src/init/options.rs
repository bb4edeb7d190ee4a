//! The one table of options: name, type, default and a sentence each. `help=1` prints it, docs/OPTIONS.md is made from
//! it (a test compares), and the struct that the stages read is generated from it.

use core::fmt;

use crate::base::text::{Text, parse_number};

use super::compressed::Compressed;
use super::syntax;

/// A path or a word given by the user.
pub type Word = Text<1024>;

/// What is wrong with an option, in words that say what to do.
pub struct Problem(Text<384>);

impl Problem {
    /// Formats one.
    pub fn new(arguments: fmt::Arguments<'_>) -> Problem {
        Problem(Text::of(arguments))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// One row of the table.
pub struct Row {
    /// As written by the user.
    pub name: &'static str,
    /// What a value looks like.
    pub kind: &'static str,
    /// The default, as the user would write it.
    pub default: &'static str,
    /// What it does.
    pub sentence: &'static str,
    set: fn(&mut Options, &str) -> Result<(), Problem>,
}

/// A type that an option can have.
trait Value: Sized {
    const KIND: &'static str;
    fn parse(text: &str) -> Option<Self>;
}

impl Value for bool {
    const KIND: &'static str = "0 or 1";
    fn parse(text: &str) -> Option<bool> {
        match text {
            "1" | "yes" | "true" => Some(true),
            "0" | "no" | "false" => Some(false),
            _ => None,
        }
    }
}

/// An exit status: the kernel keeps no more of one than this.
impl Value for u8 {
    const KIND: &'static str = "number from 0 to 255";
    fn parse(text: &str) -> Option<u8> {
        parse_number(text)?.try_into().ok()
    }
}

impl Value for u32 {
    const KIND: &'static str = "number";
    fn parse(text: &str) -> Option<u32> {
        parse_number(text)?.try_into().ok()
    }
}

impl Value for u64 {
    const KIND: &'static str = "number";
    fn parse(text: &str) -> Option<u64> {
        parse_number(text)
    }
}

impl Value for Word {
    const KIND: &'static str = "text";
    fn parse(text: &str) -> Option<Word> {
        let word = Word::of(format_args!("{text}"));
        (!word.was_cut()).then_some(word)
    }
}

/// Whether to print with colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Color {
    /// When a terminal reads it.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Value for Color {
    const KIND: &'static str = "auto, always or never";
    fn parse(text: &str) -> Option<Color> {
        match text {
            "auto" => Some(Color::Auto),
            "always" | "1" | "yes" | "true" => Some(Color::Always),
            "never" | "0" | "no" | "false" => Some(Color::Never),
            _ => None,
        }
    }
}

/// When a running program's check is made on a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Snapshot {
    /// When it pays.
    Auto,
    /// Never.
    Never,
    /// Whenever it is possible.
    Always,
}

impl Value for Snapshot {
    const KIND: &'static str = "auto, 0 or 1";
    fn parse(text: &str) -> Option<Snapshot> {
        match text {
            "auto" => Some(Snapshot::Auto),
            _ => bool::parse(text).map(|on| if on { Snapshot::Always } else { Snapshot::Never }),
        }
    }
}

/// What a misuse of the heap leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consequence {
    /// Nothing is said.
    Ignore,
    /// It is reported.
    Warn,
    /// It is reported and the process ends as with leaks.
    Exit,
    /// It is reported and the process ends by abort(3).
    Abort,
}

impl Value for Consequence {
    const KIND: &'static str = "ignore, warn, exit or abort";
    fn parse(text: &str) -> Option<Consequence> {
        match text {
            "ignore" | "0" => Some(Consequence::Ignore),
            "warn" | "1" => Some(Consequence::Warn),
            "exit" => Some(Consequence::Exit),
            "abort" => Some(Consequence::Abort),
            _ => None,
        }
    }
}

/// Which pointers into the middle of an object count as pointers to its beginning: see `explain/starts.rs`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub struct Heuristics {
    pub new_array: bool,
    pub length64: bool,
    pub std_string: bool,
    pub multiple_inheritance: bool,
}

impl Heuristics {
    const NONE: Heuristics =
        Heuristics { new_array: false, length64: false, std_string: false, multiple_inheritance: false };
    const ALL: Heuristics =
        Heuristics { new_array: true, length64: true, std_string: true, multiple_inheritance: true };
}

impl Value for Heuristics {
    const KIND: &'static str =
        "all, none, or names out of stdstring, length64, newarray, multipleinheritance joined by +";
    fn parse(text: &str) -> Option<Heuristics> {
        match text {
            "all" => return Some(Heuristics::ALL),
            "none" => return Some(Heuristics::NONE),
            _ => {}
        }
        let mut some = Heuristics::NONE;
        for word in text.split([',', ' ', '+']) {
            *match word {
                "newarray" => &mut some.new_array,
                "length64" => &mut some.length64,
                "stdstring" => &mut some.std_string,
                "multipleinheritance" => &mut some.multiple_inheritance,
                _ => return None,
            } = true;
        }
        Some(some)
    }
}

impl Value for Option<Compressed> {
    const KIND: &'static str = Compressed::KIND;
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { Compressed::parse(text).map(Some) }
    }
}

macro_rules! options {
    ($($(#[doc = $sentence:literal])+ $name:ident: $type:ty = $default:literal => $value:expr;)+) => {
        /// The options in force, one field a row of the table.
        #[allow(missing_docs)]
        pub struct Options {
            $($(#[doc = $sentence])+ pub $name: $type,)+
        }

        impl Options {
            /// Without any word from outside.
            pub const DEFAULT: Options = Options { $($name: $value,)+ };
        }

        /// Every option, in the order of `help=1`.
        pub const TABLE: &[Row] = &[$(Row {
            name: stringify!($name),
            kind: <$type as Value>::KIND,
            default: $default,
            sentence: concat!($($sentence,)+).trim_ascii(),
            set: |options, text| match <$type as Value>::parse(text) {
                Some(value) => {
                    options.$name = value;
                    Ok(())
                }
                None => Err(Problem::new(format_args!(
                    "'{text}' is not a value for {}, which takes: {}. Ignored; the default is {}",
                    stringify!($name), <$type as Value>::KIND, if $default.is_empty() { "none" } else { $default }
                ))),
            },
        },)+];
    };
}

options! {
    /// Print this table and go on.
    help: bool = "0" => false;
    /// How much to say: 0 only leaks and failures, 1 also a verdict line when clean, what was skipped, and what call stacks have cost, 2 figures of each stage.
    verbosity: u32 = "0" => 0;
    /// Check for leaks at all.
    detect_leaks: bool = "1" => true;
    /// Check when the program exits.
    leak_check_at_exit: bool = "1" => true;
    /// Exit code of a program in which leaks were found at exit; 0 keeps the program's own.
    exitcode: u8 = "23" => 23;
    /// Leaks decide the exit code. 0: the program keeps its own, and exitcode stands only for misuse; `standstill run` sets it, and itself exits with exitcode.
    exit_on_leaks: bool = "1" => true;
    /// Frames of a call stack to keep for each allocation.
    malloc_context_size: u32 = "30" => 30;
    /// Take a call stack only once for so many bytes on the average; blocks without one are found as leaks all the same. 0: for each block.
    stack_every: u32 = "0" => 0;
    /// Unwind each call stack again where a remembered one would do, and count differences; for tests of the runtime.
    verify_stacks: bool = "0" => false;
    /// Writable data of the program and its libraries is a root.
    use_globals: bool = "1" => true;
    /// Stacks of all threads are roots.
    use_stacks: bool = "1" => true;
    /// Registers of all threads are roots.
    use_registers: bool = "1" => true;
    /// Thread-local variables and thread-specific data are roots.
    use_tls: bool = "1" => true;
    /// Mappings of the program (mmap) are followed like heap chunks; what only an unreached one holds is "possible".
    use_mappings: bool = "1" => true;
    /// Regions that the program registered are roots.
    use_root_regions: bool = "1" => true;
    /// Tasks that scan a large heap at once; 0 takes as many as the checking thread may use CPUs (beside a running program: as it leaves idle), 1 makes no further task. Never more than two for each CPU, nor than 64.
    scan_threads: u32 = "0" => 0;
    /// Merge leaks whose first so many frames are the same; 0 compares whole call stacks.
    resolution: u32 = "0" => 0;
    /// List address and size of each leaked object.
    report_objects: bool = "0" => false;
    /// Print also what is only possibly leaked: held by nothing but an unreached mapping or a register that may be dead.
    report_possible: bool = "0" => false;
    /// Print also what is still reachable, by call stack and by the kind of the first root that reaches it.
    report_reachable: bool = "0" => false;
    /// Print so many variables, threads and other roots that alone hold the most memory; 0 prints none.
    report_retained: u32 = "0" => 0;
    /// Print also file descriptors that are still open, by the call stack that opened them. Not with a static library.
    report_descriptors: bool = "0" => false;
    /// Print also threads that were neither joined nor detached, by the call stack that created them. Not with a static library.
    report_threads: bool = "0" => false;
    /// Print also mappings (mmap) that nothing points to any more and nobody unmapped, by the call stack of their mmap, and how many objects only they hold. Not with a static library, nor with use_mappings=0.
    report_mappings: bool = "0" => false;
    /// Say why objects are alive: the one at an address (0x..), those of a size, or those that a matching function allocated (needs the command standstill; patterns as in suppressions). One object of each call stack.
    explain: Word = "" => Word::new();
    /// Say also who points to each object that explain tells of: so many words of each, and how many there are; 0 says nothing of it.
    explain_referrers: u32 = "0" => 0;
    /// Bits of a word that are an address, as in 0x7fffffffffff, for programs that keep tags in pointers: what only a word with other bits set leads to is "possible". 0: all.
    pointer_mask: u64 = "0" => 0;
    /// What only a word at an address that is no multiple of its size leads to is "possible".
    use_unaligned: bool = "0" => false;
    /// What only a pointer to the first byte behind it leads to is "possible".
    use_past_end: bool = "0" => false;
    /// Time in milliseconds for all that is asked beside the verdict (explain, report_reachable, report_retained, report_mappings), and as much for a second look at what seems lost (pointer_mask, use_unaligned, use_past_end, compressed_pointers, interior_possible). What takes longer is left out, and that is said. 0, and at the latest: 100 seconds after the check began, and 60 for the second look.
    survey_deadline_ms: u32 = "30000" => 30_000;
    /// Pointers that are kept in 32 bits: what only such a half of a word leads to, shifted left by SHIFT and added to BASE, is "possible". heap: the bits above are those of any block, for programs that keep the low 32 bits of an address.
    compressed_pointers: Option<Compressed> = "" => None;
    /// What only pointers into the middle of objects hold is possibly leaked, as Valgrind has it.
    interior_possible: bool = "0" => false;
    /// Pointers into the middle that count all the same with interior_possible.
    interior_heuristics: Heuristics = "all" => Heuristics::ALL;
    /// Print only so many groups of leaks, the largest first; 0 prints all.
    max_leaks: u32 = "0" => 0;
    /// A file of suppressions, one leak:PATTERN a line; patterns match names of modules, functions and source files.
    suppressions: Word = "" => Word::new();
    /// Print which suppressions were used.
    print_suppressions: bool = "1" => true;
    /// Print the line that begins with SUMMARY.
    print_summary: bool = "1" => true;
    /// Colours in the report: auto (when a terminal reads it), always or never.
    color: Color = "auto" => Color::Auto;
    /// Find functions and source lines with the command standstill, where it is installed beside the library or in PATH.
    symbolize: bool = "1" => true;
    /// Write reports to the file PATH.PID instead of standard error; stdout and stderr stand for themselves. Under `standstill run` each process with something to tell has its file, and standard error names them.
    log_path: Word = "" => Word::new();
    /// Name the log file PATH.PROGRAM.PID.
    log_exe_name: bool = "0" => false;
    /// Appended to the name of the log file.
    log_suffix: Word = "" => Word::new();
    /// Print what each thread is doing when this signal (its number) arrives; 0 never. The program goes on. A program that handles the signal itself takes it over.
    dump_signal: u32 = "0" => 0;
    /// A directory for machine-readable records in place of printed reports; set by the command standstill.
    report_dir: Word = "" => Word::new();
    /// Check a running program on a copy of its memory (fork), so that it stands still only as long as the fork takes: auto (when its memory is large and can be copied), 1 (whenever that is possible) or 0. The check at exit needs none.
    snapshot: Snapshot = "auto" => Snapshot::Auto;
    /// What follows when a block is freed twice, or an address inside a block is freed: ignore, warn (a report with the stacks of allocation and free), exit (a report, then the end with the status of leaks; with exitcode=0 as warn) or abort (a report, then SIGABRT). The heap is whole afterwards in each case.
    misuse: Consequence = "exit" => Consequence::Exit;
    /// As misuse, for a block that a function of another family frees than allocated it (malloc and delete, new[] and delete). It is freed all the same.
    mismatch: Consequence = "ignore" => Consequence::Ignore;
    /// As misuse, for a freed address that is in no block of this heap. Libraries with allocators of their own may free such by mistake of the linker.
    foreign: Consequence = "ignore" => Consequence::Ignore;
    /// Record the stack of each free, so that the report of a second one can name the first. Costs as much as the stack of an allocation.
    free_stacks: bool = "0" => false;
    /// Hand out zeroed memory, as LeakSanitizer does: what a block's last owner left there keeps nothing alive then, but reads of uninitialised memory go unnoticed.
    zero: bool = "0" => false;
    /// A heap that has outgrown 32 MiB asks for huge pages: faster, at the price of memory that comes back late (docs/LIMITS.md). 0: it has none, even where the system gives them to every program.
    huge_pages: bool = "1" => true;
    /// When many threads all sleep, look without stopping or waking them. Where something seems lost, or one woke, they are stopped as ever.
    watch: bool = "1" => true;
    /// Time in milliseconds after which a stop gives up waiting for threads and goes on with what it has.
    deadline_ms: u32 = "2000" => 2000;
    /// Stop threads by ptrace where that is allowed. With 0 they are always stopped by a signal, as under a debugger.
    ptrace: bool = "1" => true;
}

/// The table for people, in pieces.
pub fn help(print: &mut dyn FnMut(&str)) {
    print("Options of Standstill (in STANDSTILL_OPTIONS or LSAN_OPTIONS, name=value separated by colons):\n");
    for row in TABLE {
        for text in
            ["\t", row.name, " (", row.kind, ", default ", row.default, ")\n\t\t- ", row.sentence, "\n"]
        {
            print(text);
        }
    }
}

/// Options of LeakSanitizer that stand for something which does not exist here. They are taken from LSAN_OPTIONS
/// without a word, so that one setting serves both tools (names: compiler-rt's sanitizer_flags.inc and lsan_flags.inc).
const ONLY_IN_LSAN: &[&str] = &[
    "abort_on_error",
    "allocator_may_return_null",
    "allocator_release_to_os_interval_ms",
    "allow_addr2line",
    "allow_user_segv_handler",
    "can_use_proc_maps_statm",
    "check_printf",
    "cloak_sanitizer_signal_handlers",
    "compress_stack_depot",
    "cov_8bit_counters_out",
    "cov_pcs_out",
    "coverage",
    "coverage_dir",
    "decorate_proc_maps",
    "dedup_token_length",
    "demangle",
    "detect_deadlocks",
    "detect_double_free",
    "detect_invalid_join",
    "detect_stack_use_after_return",
    "disable_coredump",
    "double_free_max_entries",
    "dump_instruction_bytes",
    "dump_registers",
    "enable_symbolizer_markup",
    "exitcode_on_leak",
    "external_symbolizer_path",
    "fast_unwind_on_check",
    "fast_unwind_on_fatal",
    "fast_unwind_on_malloc",
    "full_address_space",
    "handle_abort",
    "handle_ioctl",
    "handle_segv",
    "handle_sigbus",
    "handle_sigfpe",
    "handle_sigill",
    "handle_sigtrap",
    "hard_rss_limit_mb",
    "heap_profile",
    "html_cov_report",
    "include",
    "include_if_exists",
    "intercept_memcmp",
    "intercept_memmem",
    "intercept_send",
    "intercept_stat",
    "intercept_strchr",
    "intercept_strcmp",
    "intercept_strlen",
    "intercept_strndup",
    "intercept_strpbrk",
    "intercept_strspn",
    "intercept_strstr",
    "intercept_strtok",
    "intercept_tls_get_addr",
    "legacy_pthread_cond",
    "log_fallback_to_stderr",
    "log_pointers",
    "log_threads",
    "log_to_syslog",
    "malloc_bisection",
    "max_allocation_size_mb",
    "mmap_limit_mb",
    "no_huge_pages_for_shadow",
    "print_cmdline",
    "print_module_map",
    "protect_shadow_gap",
    "s390x_vector",
    "sancov_path",
    "snprintf_mode",
    "soft_rss_limit_mb",
    "stack_trace_format",
    "strict_memcmp",
    "strict_string_checks",
    "strip_path_prefix",
    "suppress_equal_pcs",
    "symbolize_inline_frames",
    "symbolize_vs_style",
    "test_only_emulate_no_memorymap",
    "test_only_replace_dlopen_main_program",
    "thread_suspend_fail",
    "tries",
    "use_detached",
    "use_ld_allocations",
    "use_madv_dontdump",
    "use_poisoned",
    "use_sigaltstack",
    "zero_stack",
];

impl Options {
    /// Sets what `text` says, item by item, calling `complain` for each that is unknown or bad.
    pub fn apply(&mut self, text: &[u8], complain: &mut dyn FnMut(&Problem)) {
        syntax::each(text, &mut |item| {
            if let Err(problem) = item.and_then(|(name, value)| self.set(name, value)) {
                complain(&problem);
            }
        });
    }

    /// What was set and does nothing with these options, a sentence each.
    pub fn idle(&self, complain: &mut dyn FnMut(&Problem)) {
        let idle = [
            (
                "interior_heuristics",
                "interior_possible=1",
                !self.interior_possible && self.interior_heuristics != Heuristics::ALL,
            ),
            ("explain_referrers", "explain", self.explain_referrers > 0 && self.explain.as_str().is_empty()),
            ("report_mappings", "use_mappings=1", self.report_mappings && !self.use_mappings),
        ];
        for (name, needed, _) in idle.iter().filter(|(.., is_idle)| *is_idle) {
            complain(&Problem::new(format_args!("{name} does nothing without {needed}")));
        }
    }

    /// Sets the option `name`.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        if let Some(row) = TABLE.iter().find(|row| row.name == name) {
            return (row.set)(self, value);
        }
        if ONLY_IN_LSAN.contains(&name) {
            return Ok(());
        }
        Err(Problem::new(format_args!("there is no option '{name}'; help=1 lists them. Ignored")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_takes_its_own_default() {
        let mut options = Options::DEFAULT;
        for row in TABLE {
            assert!(options.set(row.name, row.default).is_ok(), "{}", row.name);
            assert!(row.sentence.ends_with('.'), "{}", row.name);
            assert!(!ONLY_IN_LSAN.contains(&row.name), "{} stands in both lists", row.name);
        }
    }

    #[test]
    fn values_are_checked() {
        let mut options = Options::DEFAULT;
        assert!(options.set("exitcode", "7").is_ok());
        assert_eq!(options.exitcode, 7);
        let problem = options.set("exitcode", "seven").unwrap_err().to_string();
        assert!(
            problem.contains("'seven'") && problem.contains("number") && problem.contains("23"),
            "{problem}"
        );
        assert_eq!(options.exitcode, 7);
        let problem = options.set("exitcode", "256").unwrap_err().to_string();
        assert!(
            problem.contains("'256' is not a value for exitcode") && problem.contains("255"),
            "{problem}"
        );
        assert_eq!(options.exitcode, 7);
        assert!(options.set("exitcode", "255").is_ok());
        assert!(options.set("use_tls", "maybe").is_err());
        assert!(options.set("interior_heuristics", "length64+stdstring").is_ok());
        let some = options.interior_heuristics;
        assert!(some.length64 && some.std_string && !some.new_array && !some.multiple_inheritance);
        for bad in ["stdstring+vector", ""] {
            let problem = options.set("interior_heuristics", bad).unwrap_err().to_string();
            assert!(problem.contains("newarray") && problem.ends_with("the default is all"), "{problem}");
        }
        assert_eq!(options.interior_heuristics, some);
        let problem = options.set("compressed_pointers", "heap").unwrap_err().to_string();
        assert!(problem.contains("BASE+SHIFT") && problem.ends_with("the default is none"), "{problem}");
        assert!(
            options.set("compressed_pointers", "heap+3").is_ok() && options.compressed_pointers.is_some()
        );
        assert!(options.set("no_such", "1").unwrap_err().to_string().contains("help=1"));
        assert!(options.set("handle_segv", "1").is_ok());
    }

    #[test]
    fn what_does_nothing_is_said() {
        let idle = |text: &str| {
            let mut options = Options::DEFAULT;
            options.apply(text.as_bytes(), &mut |problem| panic!("{problem}"));
            let mut said = std::vec::Vec::new();
            options.idle(&mut |problem| said.push(problem.to_string()));
            said
        };
        assert_eq!(
            idle("interior_heuristics=none"),
            ["interior_heuristics does nothing without interior_possible=1"]
        );
        assert_eq!(idle("explain_referrers=3"), ["explain_referrers does nothing without explain"]);
        assert_eq!(
            idle("report_mappings=1:use_mappings=0"),
            ["report_mappings does nothing without use_mappings=1"]
        );
        let in_use =
            "interior_heuristics=none:interior_possible=1:explain_referrers=3:explain=all:report_mappings=1";
        assert_eq!(idle(in_use).len() + idle("").len() + idle("use_mappings=0").len(), 0);
    }

    /// The table as the document has it.
    fn document() -> String {
        let mut text = String::from(
            "# Options\n\nIn `STANDSTILL_OPTIONS` or `LSAN_OPTIONS`: `name=value`, separated by colons, commas or blanks; a value with such a\ncharacter in it stands in quotes. What is unknown or bad gets one line on standard error and is otherwise ignored.\n\nUnder `standstill run` a report is the command's, of all processes, and it looks as these variables say in the command's own\nenvironment: `color`, `exitcode`, `log_path`, `log_exe_name`, `log_suffix`, `max_leaks`, `print_summary`, `print_suppressions`,\n`report_objects`, `report_possible`, `report_retained`, `symbolize`, `verbosity`. The command's own options win (`--color`,\n`--exit-code`, `--log`, `--max-leaks`, `--objects`, `--possible`, `--retained`, `-v`). `max_leaks` cuts the text, not the JSON\ndocument.\n\n| option | value | default | what it does |\n|---|---|---|---|\n",
        );
        for row in TABLE {
            let default = if row.default.is_empty() { "" } else { &std::format!("`{}`", row.default) };
            text += &std::format!("| `{}` | {} | {default} | {} |\n", row.name, row.kind, row.sentence);
        }
        text
    }

    /// `STANDSTILL_WRITE_DOCS=1 cargo test -p standstill-runtime options` makes the document anew.
    #[test]
    fn the_document_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPTIONS.md");
        if std::env::var_os("STANDSTILL_WRITE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), document());
    }
}
