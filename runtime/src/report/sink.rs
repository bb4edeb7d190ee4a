//! Where bytes go: a file, a buffer, a test's `Vec`.

use core::fmt;

/// Takes bytes. Failures are kept by the sink and asked for at the end: a renderer has no use for them.
pub trait Sink {
    /// Appends `bytes`.
    fn bytes(&mut self, bytes: &[u8]);
}

struct Formatter<'a>(&'a mut dyn Sink);

impl fmt::Write for Formatter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.bytes(text.as_bytes());
        Ok(())
    }
}

/// Formats into a sink: `write_to(out, format_args!("{n} threads"))`.
pub fn write_to(out: &mut dyn Sink, arguments: fmt::Arguments<'_>) {
    // Infallible: the formatter above never fails, and no Display of ours does.
    let _ = fmt::Write::write_fmt(&mut Formatter(out), arguments);
}

#[cfg(test)]
impl Sink for std::vec::Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}
