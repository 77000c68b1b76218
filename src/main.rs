//! Arguments → settings → app → exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    muniment::app::main(std::env::args_os(), &muniment::settings::Process)
}
