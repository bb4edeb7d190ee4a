//! The columns of the table of C tests: a compiler (and with it a C library), a level of optimisation, and how the
//! runtime gets into the program.

use super::case::{Case, NotIn};
use super::toolchain::{self, Compiler, Libc};

/// How the runtime gets into the program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `cc t.c libstandstill.a`
    Archive,
    /// `cc -static t.c libstandstill.a`
    Static,
    /// `cc -static-pie t.c libstandstill.a`
    StaticPie,
    /// `LD_PRELOAD=libstandstill.so`
    Preload,
    /// `-fsanitize=leak`: how the tests themselves are tested.
    Reference,
}

impl Form {
    /// As tables and directives say it.
    pub fn name(self) -> &'static str {
        match self {
            Form::Archive => "archive",
            Form::Static => "static",
            Form::StaticPie => "static-pie",
            Form::Preload => "preload",
            Form::Reference => "reference",
        }
    }

    /// Whether the program has no loader.
    pub fn is_static(self) -> bool {
        matches!(self, Form::Static | Form::StaticPie)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Column {
    pub compiler: Compiler,
    /// `None`: one level is enough here, the highest that the test allows.
    pub level: Option<&'static str>,
    pub form: Form,
}

impl Column {
    /// `gcc -O2 archive`, `musl-gcc static`
    pub fn title(&self) -> String {
        let level = self.level.map_or(String::new(), |level| format!(" {level}"));
        format!("{}{level} {}", self.compiler.name, self.form.name())
    }

    /// The level at which the program of `case` is built here; `None` when the test is not for this level.
    pub fn level_of<'c>(&self, case: &'c Case) -> Option<&'c str> {
        let wanted = |level: &&String| self.level.is_none_or(|own| own == level.as_str());
        case.levels.iter().rfind(wanted).map(String::as_str)
    }

    /// Why this column is not meant, by directives `NOT-IN`.
    pub fn excluded<'c>(&self, not_in: &'c NotIn) -> Option<&'c str> {
        let own = not_in.iter().find(|(words, _)| words.iter().all(|word| self.is(word)));
        own.map(|(_, why)| why.as_str())
    }

    /// Whether a directive means this column by `word`: a form, a C library, a compiler.
    pub fn is(&self, word: &str) -> bool {
        let libc = match self.compiler.libc {
            Libc::Glibc => "glibc",
            Libc::Musl => "musl",
        };
        word == libc
            || word == self.form.name()
            || word == self.compiler.name
            || word == "static" && self.form.is_static()
    }
}

/// The columns of every run. The compiler and the level can make a difference (what is a dead store, what stays in a
/// register); for other ways of linking and another C library one level is enough.
pub fn usual() -> Vec<Column> {
    let mut columns = vec![];
    let once = |compiler: &Compiler, form| Column { compiler: compiler.clone(), level: None, form };
    for compiler in toolchain::compilers() {
        for level in ["-O0", "-O2"] {
            for form in [Form::Archive, Form::Preload] {
                columns.push(Column { compiler: compiler.clone(), level: Some(level), form });
            }
        }
    }
    for compiler in toolchain::compilers().iter().take(1) {
        columns.extend([Form::Static, Form::StaticPie].map(|form| once(compiler, form)));
    }
    if let Some(compiler) = &toolchain::musl() {
        columns.extend([Form::Archive, Form::Preload, Form::Static].map(|form| once(compiler, form)));
    }
    columns
}

/// The columns that test the tests, against LeakSanitizer.
pub fn reference() -> Vec<Column> {
    let mut columns = vec![];
    for compiler in toolchain::compilers() {
        for level in ["-O0", "-O2"] {
            columns.push(Column { compiler: compiler.clone(), level: Some(level), form: Form::Reference });
        }
    }
    columns
}

/// The columns of the aarch64 guest: one level, since what differs there is the CPU.
pub fn aarch64(reference: bool) -> Vec<Column> {
    let forms: &[Form] =
        if reference { &[Form::Reference] } else { &[Form::Archive, Form::Preload, Form::Static] };
    let of = |compiler: Compiler| {
        forms.iter().map(move |form| Column { compiler: compiler.clone(), level: None, form: *form })
    };
    toolchain::aarch64().into_iter().flat_map(of).collect()
}
