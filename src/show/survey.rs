//! Names in the text about live objects.

use standstill_runtime::explain::Holder;
use standstill_runtime::harvest::RootKind;
use standstill_runtime::report::Sink;
use standstill_runtime::report::survey::Place;
use standstill_runtime::report::text::StackText;

use super::{print_frame, printable};
use crate::findings::{Frame, Named};

/// Prints with the names that are known.
pub(super) struct Names<'a>(pub(super) &'a Named);

impl StackText for Names<'_> {
    fn print(&self, stack: u32, out: &mut dyn Sink) {
        for (number, frame) in self.0.stacks.get(&stack).into_iter().flatten().enumerate() {
            print_frame(number, frame, out);
        }
    }

    fn allocated(&self, stack: u32, out: &mut dyn Sink) {
        // The first frame is malloc itself.
        let mut frames = self.0.stacks.get(&stack).into_iter().flatten();
        if let Some(frame) = frames.find(|frame| !is_allocator(frame)) {
            out.bytes(format!(", allocated in {}", place_of(frame)).as_bytes());
        }
    }

    fn frame(&self, pc: usize, out: &mut dyn Sink) {
        if let Some(frame) = self.0.code.get(&pc).and_then(|frames| frames.last()) {
            out.bytes(format!(", in the frame of {}", place_of(frame)).as_bytes());
        }
    }

    fn place(&self, place: &Place, out: &mut dyn Sink) {
        out.bytes(root(self.0, place).as_bytes());
    }

    fn whole(&self, place: &Place, out: &mut dyn Sink) {
        out.bytes(whole(self.0, place).as_bytes());
    }

    fn same_place(&self, first: &Place, second: &Place) -> bool {
        self.0.same_place(first, second)
    }
}

/// What a root word belongs to with its neighbours: where no symbols are known a module's data is one ([`Named::same_place`]).
pub(super) fn whole(named: &Named, place: &Place) -> String {
    match named.variables.get(&place.at.get()) {
        Some(variable) if place.holder == Holder::Root(RootKind::Globals) && variable.name.is_none() => {
            format!("all data without a symbol of {}", printable(&variable.module.to_string_lossy()))
        }
        _ => root(named, place),
    }
}

/// A root word in words.
pub(super) fn root(named: &Named, place: &Place) -> String {
    let variable = named.variables.get(&place.at.get());
    if let (Holder::Root(RootKind::Globals), Some(variable)) = (place.holder, variable) {
        let module = printable(&variable.module.to_string_lossy());
        return match &variable.name {
            Some((name, 0)) => format!("variable {} ({module}+{:#x})", printable(name), variable.offset),
            Some((name, into)) => {
                format!("variable {}+{into:#x} ({module}+{:#x})", printable(name), variable.offset)
            }
            None => format!("data ({module}+{:#x})", variable.offset),
        };
    }
    let whose = if place.tid == 0 { String::new() } else { format!(" of thread {}", place.tid) };
    let at = if place.at.is_null() { String::new() } else { format!(" at {:#x}", place.at.get()) };
    format!("{}{whose}{at}", place.holder.phrase())
}

/// The function and the line, or the module and the offset.
fn place_of(frame: &Frame) -> String {
    let name = match (&frame.function, &frame.module, frame.offset) {
        (Some(function), ..) => printable(function),
        (None, Some(module), Some(offset)) => format!("{}+{offset:#x}", printable(&module.to_string_lossy())),
        _ => format!("{:#x}", frame.address),
    };
    match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!("{name} {}:{line}", printable(file)),
        _ => name,
    }
}

fn is_allocator(frame: &Frame) -> bool {
    let ours = |path: &std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libstandstill"))
    };
    const NAMES: [&str; 10] = [
        "malloc",
        "calloc",
        "realloc",
        "reallocarray",
        "aligned_alloc",
        "memalign",
        "posix_memalign",
        "strdup",
        "strndup",
        "asprintf",
    ];
    let function = frame.function.as_deref().unwrap_or("");
    frame.module.as_ref().is_some_and(ours)
        || NAMES.contains(&function)
        || function.starts_with("operator new")
}
