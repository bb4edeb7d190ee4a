//! What a run of a C test says about leaks, read from its report; and what its head comment expects.

use std::fmt;
use std::sync::LazyLock;

use regex::Regex;

/// What a line `EXPECT: ...` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No leak, and said so.
    Clean,
    /// Exactly this much is lost, in all.
    Leak { bytes: u64, objects: u64 },
    /// Exactly this much is lost, by kind.
    Kinds { direct: (u64, u64), indirect: (u64, u64) },
    /// Among what is lost there is a line with exactly this.
    Some { bytes: u64, objects: u64 },
    /// No leak, but this much held only by doubtful roots, and said so.
    Possible { bytes: u64, objects: u64 },
    /// Nothing about leaks: only the exit status (and STDERR and so on) count.
    Status(i32),
}

impl Expected {
    /// Reads the words after `EXPECT:`.
    pub fn parse(text: &str) -> Result<Expected, String> {
        const AMOUNT: &str = r"(\d+) bytes? in (\d+) objects?";
        static FORMS: LazyLock<[Regex; 5]> = LazyLock::new(|| {
            [
                Regex::new(&format!("^leak {AMOUNT}$")).unwrap(),
                Regex::new(&format!("^direct {AMOUNT}, indirect {AMOUNT}$")).unwrap(),
                Regex::new(&format!("^some leak of {AMOUNT}$")).unwrap(),
                Regex::new(r"^status (\d+)$").unwrap(),
                Regex::new(&format!("^possible {AMOUNT}$")).unwrap(),
            ]
        });
        if text == "clean" {
            return Ok(Expected::Clean);
        }
        for (form, regex) in FORMS.iter().enumerate() {
            let Some(found) = regex.captures(text) else { continue };
            let number = |i: usize| found[i].parse::<u64>().expect("digits");
            return Ok(match form {
                0 => Expected::Leak { bytes: number(1), objects: number(2) },
                1 => Expected::Kinds { direct: (number(1), number(2)), indirect: (number(3), number(4)) },
                2 => Expected::Some { bytes: number(1), objects: number(2) },
                3 => Expected::Status(number(1) as i32),
                _ => Expected::Possible { bytes: number(1), objects: number(2) },
            });
        }
        Err(format!("not an expectation: {text:?}"))
    }

    /// The exit status that goes with it when the test does not say `EXIT:`.
    pub fn status(&self) -> i32 {
        match self {
            Expected::Clean | Expected::Possible { .. } => 0,
            Expected::Status(status) => *status,
            _ => 23,
        }
    }
}

/// What a report says.
#[derive(Debug, Default)]
pub struct Found {
    /// (direct, bytes, objects), one for each stack.
    pub leaks: Vec<(bool, u64, u64)>,
    /// The numbers of the SUMMARY line.
    pub summary: Option<(u64, u64)>,
    /// The verdict of the last check, in its own words.
    pub verdict: Option<String>,
    /// What the verdict line calls possible: bytes, objects.
    pub possible: (u64, u64),
}

impl Found {
    /// Reads the last report in `stderr` (a program may check several times).
    pub fn read(stderr: &str) -> Found {
        static LEAK: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(
                r"(?m)^(Direct|Indirect) leak of (\d+) byte\(s\) in (\d+) object\(s\) allocated from:$",
            )
            .unwrap()
        });
        static SUMMARY: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?m)^SUMMARY: \w+: (\d+) byte\(s\) leaked in (\d+) allocation\(s\)\.$").unwrap()
        });
        static VERDICT: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(?m)^==\d+==Standstill: (clean|leaks|incomplete|could not check):(.*)$").unwrap()
        });
        static POSSIBLE: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"(\d+) byte\(s\) in (\d+) object\(s\) are possibly leaked").unwrap()
        });
        let last =
            stderr.rfind("ERROR: LeakSanitizer: detected memory leaks").map_or(stderr, |at| &stderr[at..]);
        let number = |text: &str| text.parse::<u64>().unwrap_or(0);
        let verdict = VERDICT.captures_iter(stderr).last();
        let possible = verdict.as_ref().and_then(|line| POSSIBLE.captures(line.get(2)?.as_str()));
        Found {
            leaks: LEAK
                .captures_iter(last)
                .map(|c| (&c[1] == "Direct", number(&c[2]), number(&c[3])))
                .collect(),
            summary: SUMMARY.captures(last).map(|c| (number(&c[1]), number(&c[2]))),
            verdict: verdict.map(|line| line[1].to_owned()),
            possible: possible.map_or((0, 0), |p| (number(&p[1]), number(&p[2]))),
        }
    }

    fn sum(&self, direct: bool) -> (u64, u64) {
        self.leaks
            .iter()
            .filter(|leak| leak.0 == direct)
            .fold((0, 0), |sum, leak| (sum.0 + leak.1, sum.1 + leak.2))
    }

    /// What does not agree with `expected`, in words. `silent` = a clean run is not expected to say so.
    pub fn disagrees(&self, expected: &Expected, silent: bool) -> Option<String> {
        let leaked = self.summary.is_some() || !self.leaks.is_empty();
        let agrees = match expected {
            Expected::Status(_) => true,
            Expected::Clean | Expected::Possible { .. } => {
                let verdict = self.verdict.as_deref();
                if !leaked && !silent && verdict != Some("clean") {
                    let said = verdict.unwrap_or("nothing");
                    return Some(format!(
                        "no leak was reported, but the verdict line says {said:?}, not \"clean\""
                    ));
                }
                let possible = match expected {
                    Expected::Possible { bytes, objects } => self.possible == (*bytes, *objects),
                    _ => true,
                };
                !leaked && possible
            }
            Expected::Leak { bytes, objects } => self.summary == Some((*bytes, *objects)),
            Expected::Kinds { direct, indirect } => self.sum(true) == *direct && self.sum(false) == *indirect,
            Expected::Some { bytes, objects } => {
                self.leaks.iter().any(|leak| (leak.1, leak.2) == (*bytes, *objects))
            }
        };
        (!agrees).then(|| format!("expected {expected}, found {self}"))
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Clean => write!(f, "clean"),
            Expected::Leak { bytes, objects } => write!(f, "{bytes} bytes in {objects} objects"),
            Expected::Kinds { direct: d, indirect: i } => {
                write!(f, "direct {} bytes in {}, indirect {} bytes in {}", d.0, d.1, i.0, i.1)
            }
            Expected::Some { bytes, objects } => write!(f, "a leak of {bytes} bytes in {objects} objects"),
            Expected::Possible { bytes, objects } => write!(f, "possible {bytes} bytes in {objects} objects"),
            Expected::Status(status) => write!(f, "status {status}"),
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.leaks.is_empty() && self.summary.is_none() {
            return write!(f, "no leak, {} bytes in {} possible", self.possible.0, self.possible.1);
        }
        let (d, i) = (self.sum(true), self.sum(false));
        write!(f, "direct {} bytes in {}, indirect {} bytes in {}", d.0, d.1, i.0, i.1)
    }
}
