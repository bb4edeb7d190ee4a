//! Stops the build with one sentence where there is no port: without it the compiler lists what the first missing file
//! leaves undefined.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let (cpu, system, bits) = (target("ARCH"), target("OS"), target("POINTER_WIDTH"));
    if system != "linux" || bits != "64" || !["x86_64", "aarch64"].contains(&cpu.as_str()) {
        println!(
            "cargo::error=Standstill has no port for {system} on {cpu} with {bits}-bit pointers yet: docs/PORTING.md lists what one must supply"
        );
    }
}
