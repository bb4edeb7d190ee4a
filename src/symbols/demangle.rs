//! Names as their language writes them.

/// `name` demangled if it is a mangled name of Rust or C++, else as it is. Rust's hash at the end is left out.
pub fn demangle(name: &str) -> String {
    // Versions of the symbol table's kind (memcpy@@GLIBC_2.14) are no part of a mangled name.
    let bare = match name.split_once('@') {
        Some((bare, _)) if !bare.is_empty() => bare,
        _ => name,
    };
    if let Ok(rust) = rustc_demangle::try_demangle(bare) {
        return format!("{rust:#}");
    }
    if bare.starts_with("_Z") || bare.starts_with("___Z") {
        let parsed = cpp_demangle::Symbol::new(bare).ok();
        if let Some(text) = parsed.and_then(|symbol| symbol.demangle().ok()) {
            return text;
        }
    }
    bare.to_owned()
}

#[cfg(test)]
mod tests {
    use super::demangle;

    #[test]
    fn each_language_is_known() {
        assert_eq!(demangle("main"), "main");
        assert_eq!(demangle("_Znwm"), "operator new(unsigned long)");
        assert_eq!(demangle("_ZN3foo3barIiEEvT_"), "void foo::bar<int>(int)");
        assert_eq!(
            demangle("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt"
        );
        assert_eq!(demangle("_RNvC6_123foo3bar"), "123foo::bar");
        assert_eq!(demangle("_Zbroken"), "_Zbroken");
        assert_eq!(demangle("memcpy@@GLIBC_2.14"), "memcpy");
        assert_eq!(demangle("@odd"), "@odd");
    }
}
