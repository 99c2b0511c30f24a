//! `queuepost schema`, `completions` and `man`: what editors, shells and `man` learn of this program.
//!
//! All three come from what the program itself reads: the table of keys, and the description of the command line.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::{FAILED, OK, complain, terminal};
use crate::config;

/// The program's name, as shells and `man` know it.
const NAME: &str = "queuepost";

const OF_SCHEMA: &str = "\
Examples:
  queuepost schema > queuepost.schema.json

An editor with a YAML language server completes keys, explains them and marks
mistakes, if the first line of the configuration file names the schema:

  # yaml-language-server: $schema=queuepost.schema.json";

const OF_COMPLETIONS: &str = "\
Examples:
  queuepost completions bash > /etc/bash_completion.d/queuepost
  queuepost completions zsh > \"${fpath[1]}/_queuepost\"
  queuepost completions fish > ~/.config/fish/completions/queuepost.fish";

const OF_MAN: &str = "\
Examples:
  queuepost man | man -l -
  queuepost man --directory /usr/local/share/man/man1
  man queuepost-run";

/// Options of `schema`.
#[derive(Debug, Args)]
#[command(after_help = OF_SCHEMA)]
pub(super) struct SchemaOptions {}

/// Options of `completions`.
#[derive(Debug, Args)]
#[command(after_help = OF_COMPLETIONS)]
pub(super) struct CompletionsOptions {
    /// The shell that they are for
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `man`.
#[derive(Debug, Args)]
#[command(after_help = OF_MAN)]
pub(super) struct ManOptions {
    /// Write the page of each subcommand too, into this directory
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

/// Prints the JSON Schema of the configuration file.
pub(super) fn schema(_: &SchemaOptions) -> u8 {
    print(&config::schema())
}

/// Prints the completions of a shell.
pub(super) fn completions(options: &CompletionsOptions, mut command: Command) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, NAME, &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the page of the program, or writes all pages.
pub(super) fn man(options: &ManOptions, command: Command) -> u8 {
    // `help` is no command with a page of its own.
    let command = command.disable_help_subcommand(true);
    let done = match &options.directory {
        None => page(command).map(|page| print(&page)),
        Some(directory) => {
            let written =
                fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(command, directory));
            written.map(|()| OK)
        }
    };
    done.unwrap_or_else(|error| {
        complain(&format!("the pages cannot be written: {error}"));
        FAILED
    })
}

fn page(command: Command) -> Result<String, Error> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Prints a text of ours. A reader that has seen enough is no failure.
fn print(text: &str) -> u8 {
    match terminal::print_ours(text) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain(&format!("standard output cannot be written: {error}"));
            FAILED
        }
        Ok(()) | Err(_) => OK,
    }
}
