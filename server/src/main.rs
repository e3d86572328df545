//! `chat-server`: see `chat-server --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    chat_server::cli::run(std::env::args_os())
}
