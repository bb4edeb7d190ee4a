//! Text without allocation: a buffer on the stack that implements [`core::fmt::Write`].

use core::fmt;

/// Up to `N` bytes of text. What does not fit is cut off at a character border, and [`Text::was_cut`] says so.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    cut: bool,
}

impl<const N: usize> Text<N> {
    /// No text.
    pub const fn new() -> Self {
        Text { bytes: [0; N], len: 0, cut: false }
    }

    /// Formats into a new text: `Text::<64>::of(format_args!("{n} threads"))`.
    pub fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self::new();
        // Infallible: write_str below never returns an error, and Display impls of ours do not either.
        let _ = fmt::Write::write_fmt(&mut text, arguments);
        text
    }

    /// The text so far.
    pub fn as_str(&self) -> &str {
        // Only whole characters are ever copied in, so this never falls back.
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// The bytes so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// True when something did not fit.
    pub fn was_cut(&self) -> bool {
        self.cut
    }

    /// Empties the buffer.
    pub fn clear(&mut self) {
        self.len = 0;
        self.cut = false;
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let mut fits = s.len().min(N - self.len);
        if fits < s.len() {
            self.cut = true;
            while !s.is_char_boundary(fits) {
                fits -= 1;
            }
        }
        self.bytes[self.len..self.len + fits].copy_from_slice(&s.as_bytes()[..fits]);
        self.len += fits;
        Ok(())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Parses a number as C does with base 0: decimal, or hexadecimal after `0x`. `None` for anything else and on overflow.
pub fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_at_a_character() {
        let text = Text::<4>::of(format_args!("abcé"));
        assert_eq!(text.as_str(), "abc");
        assert!(text.was_cut());
    }

    #[test]
    fn numbers_parse_as_in_c() {
        assert_eq!(parse_number("23"), Some(23));
        assert_eq!(parse_number("0x10"), Some(16));
        assert_eq!(parse_number(""), None);
        assert_eq!(parse_number("-1"), None);
        assert_eq!(parse_number("99999999999999999999"), None);
    }
}
