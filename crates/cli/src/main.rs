//! The `rustling` command: a shell on a database, and the commands of `rustling --help`.
//!
//! Results go to standard output, progress and messages to standard error. The exit status is 0
//! when everything succeeded, 1 when something failed, 2 when the command line is wrong.

mod args;
mod attach;
mod commands;
mod config;
mod connection;
mod copy_data;
mod error;
mod kv;
mod logging;
mod migrate;
mod numbers;
mod open;
mod output;
mod progress;
mod run;
mod serve;
mod shell;
mod signals;
mod terminal;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(all(feature = "mimalloc", not(feature = "jemalloc")))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(args::Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has enough of it.
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            // With standard error gone too there is nobody left to tell.
            let _ = io::stderr().write_all(format!("{}\n", error.render()).as_bytes());
            ExitCode::FAILURE
        }
    }
}
