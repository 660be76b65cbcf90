//! The operator's command `orgkeeper`.

use std::{
    io::{stderr, stdout},
    process::ExitCode,
};

use jiff::Timestamp;

fn main() -> ExitCode {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clock"
    )]
    let now = Timestamp::now();
    orgkeeper_cli::run(std::env::args_os(), now, &mut stdout(), &mut stderr()).into()
}
