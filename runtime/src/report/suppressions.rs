//! Suppressions in LeakSanitizer's syntax: `leak:PATTERN` lines, `#` comments, blank lines.
//!
//! A pattern matches when it occurs anywhere in the name of a frame's module, function or source file. `*` stands for
//! any run of characters, a leading `^` and a final `$` tie the pattern to the ends of the name. A name that is not known
//! is empty, and matches nothing. (Semantics: LLVM's sanitizer_common `TemplateMatch`; unlike there a pattern with `$`
//! also finds its last occurrence: `foo$` matches `foofoo`.)
//!
//! Why the patterns keep their text and are matched one by one: there are tens of them at most, and only call stacks of
//! leaks are looked up, once each.

use core::ffi::CStr;

use crate::base::Errno;
use crate::base::text::Text;
use crate::mem::MapVec;
use crate::sys::file;

/// Files of suppressions are read up to this size, in bytes: far above any real one, and a bound for a FIFO or a device
/// that was named by mistake.
const LARGEST_FILE: usize = 16 << 20;

#[derive(Clone, Copy)]
struct Rule {
    start: usize,
    len: usize,
    objects: usize,
    bytes: usize,
}

/// Patterns and how often each was used.
#[derive(Default)]
pub struct Suppressions {
    text: MapVec<u8>,
    rules: MapVec<Rule>,
}

/// A suppression that covered something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used<'a> {
    /// Its pattern, without `leak:`.
    pub pattern: &'a [u8],
    /// Leaks that it covered.
    pub objects: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Suppressions {
    /// None.
    pub const fn new() -> Self {
        Suppressions { text: MapVec::new(), rules: MapVec::new() }
    }

    /// True when there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Reads patterns from a text; `source` names it in complaints, one line for each line that means nothing.
    pub fn add_text(&mut self, text: &[u8], source: &str, complain: &mut dyn FnMut(&str)) {
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let problem = match line.strip_prefix(b"leak:") {
                Some(pattern) if pattern.iter().any(|byte| !matches!(byte, b'*' | b'^' | b'$')) => {
                    match self.add(pattern) {
                        Ok(()) => continue,
                        Err(_) => "no memory to keep it",
                    }
                }
                Some(_) => "the pattern is empty and would match everything",
                None => "expected leak:PATTERN",
            };
            let shown = Printable(line);
            let number = number + 1;
            complain(
                Text::<400>::of(format_args!(
                    "Standstill: suppressions, {source}, line {number}: {problem}. Ignored: '{shown}'"
                ))
                .as_str(),
            );
        }
    }

    /// Reads patterns from the file `path`.
    pub fn add_file(&mut self, path: &CStr, complain: &mut dyn FnMut(&str)) {
        let name = Printable(path.to_bytes());
        let source = Text::<300>::of(format_args!("{name}"));
        match read_whole(path) {
            Ok(text) => self.add_text(&text, source.as_str(), complain),
            Err(errno) => complain(
                Text::<400>::of(format_args!(
                    "Standstill: suppressions: cannot read the file '{name}': {errno}. Nothing is suppressed by it"
                ))
                .as_str(),
            ),
        }
    }

    /// Adds one pattern, without `leak:`.
    pub fn add(&mut self, pattern: &[u8]) -> Result<(), Errno> {
        let start = self.text.len();
        for byte in pattern {
            self.text.push(*byte)?;
        }
        self.rules.push(Rule { start, len: pattern.len(), objects: 0, bytes: 0 })
    }

    /// The first pattern that matches one of `names`; its number, for [`Suppressions::count`].
    pub fn find(&self, names: &[&[u8]]) -> Option<usize> {
        self.rules.iter().position(|rule| {
            let pattern = self.pattern(rule);
            names.iter().any(|name| matches(pattern, name))
        })
    }

    /// Counts a use of pattern `index`.
    pub fn count(&mut self, index: usize, objects: usize, bytes: usize) {
        if let Some(rule) = self.rules.get_mut(index) {
            rule.objects = rule.objects.saturating_add(objects);
            rule.bytes = rule.bytes.saturating_add(bytes);
        }
    }

    /// Every pattern with its counts, in the order in which they were given.
    pub fn all(&self) -> impl Iterator<Item = Used<'_>> {
        self.rules.iter().map(|rule| Used {
            pattern: self.pattern(rule),
            objects: rule.objects,
            bytes: rule.bytes,
        })
    }

    /// The patterns that covered something.
    pub fn used(&self) -> impl Iterator<Item = Used<'_>> {
        self.all().filter(|used| used.objects > 0)
    }

    fn pattern(&self, rule: &Rule) -> &[u8] {
        self.text.get(rule.start..rule.start + rule.len).unwrap_or_default()
    }
}

fn read_whole(path: &CStr) -> Result<MapVec<u8>, Errno> {
    // O_NONBLOCK: opening a FIFO that nobody writes to must not wait.
    let fd = file::open(path, libc::O_RDONLY | libc::O_NONBLOCK, 0)?;
    let mut text = MapVec::new();
    let mut block = [0; 1024];
    loop {
        let read = file::read(&fd, &mut block)?;
        if read == 0 {
            return Ok(text);
        }
        if text.len() + read > LARGEST_FILE {
            return Err(Errno::new(libc::EFBIG));
        }
        for byte in block.iter().take(read) {
            text.push(*byte)?;
        }
    }
}

/// True when `pattern` (see the module) matches `name`.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    if name.is_empty() {
        return false;
    }
    let (pattern, at_start) = match pattern.strip_prefix(b"^") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let (pattern, at_end) = match pattern.strip_suffix(b"$") {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    // The pieces between stars must follow each other. Each piece is taken at its first place, which leaves the most
    // room for the next; only a last piece tied to the end has its place given.
    let mut rest = name;
    let mut pieces = pattern.split(|byte| *byte == b'*').enumerate().peekable();
    while let Some((index, piece)) = pieces.next() {
        let last = pieces.peek().is_none();
        if index == 0 && at_start {
            match rest.strip_prefix(piece) {
                Some(after) if last && at_end => return after.is_empty(),
                Some(after) => rest = after,
                None => return false,
            }
        } else if last && at_end {
            return rest.ends_with(piece);
        } else {
            match find(rest, piece) {
                Some(place) => rest = rest.get(place + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
    }
    true
}

fn find(text: &[u8], piece: &[u8]) -> Option<usize> {
    if piece.is_empty() { Some(0) } else { text.windows(piece.len()).position(|window| window == piece) }
}

/// Bytes from outside in a message: what is no printable ASCII becomes `?`, so that a file cannot drive a terminal.
pub(super) struct Printable<'a>(pub &'a [u8]);

impl core::fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                core::fmt::Write::write_char(f, if c.is_control() { '?' } else { c })?;
            }
            if !chunk.invalid().is_empty() {
                core::fmt::Write::write_char(f, '?')?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_lsan_s_do() {
        let cases: &[(&str, &str, bool)] = &[
            ("foo", "a_foo_b", true),
            ("foo", "fo", false),
            ("^foo", "foobar", true),
            ("^foo", "xfoo", false),
            ("foo$", "xfoo", true),
            ("foo$", "foox", false),
            ("foo$", "foofoo", true),
            ("^foo$", "foo", true),
            ("^foo$", "foofoo", false),
            ("a*b", "xxaYYbzz", true),
            ("a*b", "ba", false),
            ("^a*b$", "aYYb", true),
            ("^a*b$", "aYYbc", false),
            ("^a*b$", "ab", true),
            ("^*.so$", "/usr/lib/libx.so", true),
            ("lib*.so*", "/usr/lib/libx.so.1", true),
            ("a*a", "a", false),
            ("^a*a$", "a", false),
            ("a**b", "ab", true),
            ("x$y", "ax$yb", true),
            ("*", "a", true),
            ("*", "", false),
            ("^$", "", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), *expected, "{pattern} on {name}");
        }
    }

    /// A pattern by the definition: try every split of the name.
    fn oracle(pattern: &[u8], name: &[u8], at_start: bool) -> bool {
        match pattern {
            [] => true,
            [b'*', rest @ ..] => (0..=name.len()).any(|skip| oracle(rest, &name[skip..], true)),
            [b'$'] => name.is_empty() || (!at_start && pattern.len() == 1),
            [first, rest @ ..] => {
                (name.first() == Some(first) && oracle(rest, &name[1..], true))
                    || (!at_start && !name.is_empty() && oracle(pattern, &name[1..], false))
            }
        }
    }

    #[test]
    fn patterns_agree_with_trying_every_split() {
        const LETTERS: &[u8] = b"ab*$^";
        let mut patterns = vec![vec![]];
        for length in 0..4 {
            let longer: Vec<Vec<u8>> = patterns
                .iter()
                .filter(|p: &&Vec<u8>| p.len() == length)
                .flat_map(|p| LETTERS.iter().map(move |l| [p.clone(), vec![*l]].concat()))
                .collect();
            patterns.extend(longer);
        }
        let mut names = vec![vec![]];
        for length in 0..5 {
            let longer: Vec<Vec<u8>> = names
                .iter()
                .filter(|n: &&Vec<u8>| n.len() == length)
                .flat_map(|n| b"ab".iter().map(move |l| [n.clone(), vec![*l]].concat()))
                .collect();
            names.extend(longer);
        }
        for pattern in &patterns {
            // `^` and `$` inside are letters; names have none, so such a pattern matches nothing and proves little.
            let inside = pattern.strip_prefix(b"^").unwrap_or(pattern);
            let inside = inside.strip_suffix(b"$").unwrap_or(inside);
            if inside.contains(&b'$') || inside.contains(&b'^') {
                continue;
            }
            for name in &names {
                let expected = match pattern.strip_prefix(b"^") {
                    _ if name.is_empty() => false,
                    Some(rest) => oracle(rest, name, true),
                    None => oracle(pattern, name, false),
                };
                assert_eq!(
                    matches(pattern, name),
                    expected,
                    "{} on {}",
                    String::from_utf8_lossy(pattern),
                    String::from_utf8_lossy(name)
                );
            }
        }
    }

    #[test]
    fn bad_lines_are_named_and_the_rest_is_kept() {
        let mut list = Suppressions::new();
        let mut said = Vec::new();
        let text = b"# ours\n\nleak:libfoo.so\nrace:bar\n  leak:^main$ \nleak:\nleak:*\n";
        list.add_text(text, "x.supp", &mut |line| said.push(line.to_string()));
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(said[0].contains("x.supp, line 4") && said[0].contains("race:bar"), "{}", said[0]);
        assert_eq!(list.find(&[b"/lib/libfoo.so.2"]), Some(0));
        assert_eq!(list.find(&[b"", b"main"]), Some(1));
        assert_eq!(list.find(&[b"mainly"]), None);
        list.count(1, 3, 21);
        assert_eq!(list.used().collect::<Vec<_>>(), [Used { pattern: b"^main$", objects: 3, bytes: 21 }]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_one_line() {
        let mut list = Suppressions::new();
        let mut said = Vec::new();
        list.add_file(c"/nonexistent/\x1bx", &mut |line| said.push(line.to_string()));
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("ENOENT") && !said[0].contains('\x1b'), "{}", said[0]);
        assert!(list.is_empty());
        assert_eq!(list.find(&[b"anything"]), None);
    }
}
