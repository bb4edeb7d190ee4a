//! The `standstill` command: reads the arguments and hands over.

use std::process::ExitCode;

use clap::Parser;
use standstill_command::cli::{Cli, Command};
use standstill_command::{diff, render, run, say, symbolize};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Explain(options) => {
            let (what, mut options) = (options.what, options.run);
            options.explain = Some(what);
            run::run(&options)
        }
        Command::Diff(options) => diff::diff(&options),
        Command::Render(options) => render::render(&options),
        Command::Symbolize(options) => symbolize::symbolize(&options),
    };
    match result {
        Ok(code) => code,
        Err(problem) => {
            say(format_args!("standstill: {problem}"));
            ExitCode::from(problem.exit_code())
        }
    }
}
