//! What every tool's command line does alike before the tool begins: help with its table of exit codes, version, errors of
//! use, and `--generate`, which prints completions for shells and man pages from the same clap table that parses the
//! arguments.
//!
//! A tool calls [`parse`]; who packages tools that do without this module (the recorder) calls [`generate`] with their
//! table. Nothing here knows a tool.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::iter;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, Parser, ValueEnum};
use clap_complete::{Generator as _, Shell};
use clap_mangen::Man;

use crate::terminal::safe_lines;

/// How a command line ended before the tool began.
#[derive(Debug)]
pub enum Ended {
    /// What was asked for has been printed: help, the version, completions, a man page.
    Answered,
    /// The arguments make no sense; it has been said why.
    Refused,
    /// What was asked for could not be written; where it was a file, it has been said which.
    Unwritten(io::Error),
}

/// What can be generated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Kind {
    /// Completions for bash.
    Bash,
    /// Completions for elvish.
    Elvish,
    /// Completions for fish.
    Fish,
    /// Completions for `PowerShell`.
    Powershell,
    /// Completions for zsh.
    Zsh,
    /// Man pages: one for the program, one for each subcommand.
    Man,
}

const GENERATE: &str = "generate";

/// Parses a command line; `args` begin with the program's name. Help goes to `out`, refusals to `err`.
pub fn parse<C: Parser>(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
    out: &mut (impl Write + ?Sized),
    err: &mut (impl Write + ?Sized),
) -> Result<C, Ended> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let command = C::command();
    // As the first argument it needs nothing else, whatever the tool asks for otherwise.
    let first = args.get(1).map(|arg| arg.to_string_lossy()).unwrap_or_default();
    let alone = first == "--generate" || first.starts_with("--generate=");
    let mut parser = flowing(command.clone()).arg(option());
    if alone {
        parser = parser.subcommand_required(false).arg_required_else_help(false).mut_args(|arg| arg.required(false));
    }
    let parsed = parser.try_get_matches_from_mut(args).and_then(|matches| match asked(&matches, &mut parser)? {
        Some(asked) => Ok(Err(asked)),
        None => C::from_arg_matches(&matches).map(Ok),
    });
    match parsed {
        Ok(Ok(cli)) => Ok(cli),
        Ok(Err((kind, folder))) => Err(match generate(command.arg(option()), kind, folder.as_deref(), out) {
            Ok(()) => Ended::Answered,
            Err(error) => {
                if let Some(folder) = folder {
                    let text = safe_lines(&format!("--generate: {}: {error}", folder.display()));
                    // A standard error that cannot be written is not worth a failure of its own.
                    let _ = writeln!(err, "{text}");
                }
                Ended::Unwritten(error)
            }
        }),
        Err(error) => Err(refuse(&error, out, err)),
    }
}

/// The same command with its text after the help as wide as the terminal is, not as its source is: clap breaks lines that
/// are too long, but joins none.
fn flowing(mut command: Command) -> Command {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(paragraphs(&text));
    }
    command.mut_subcommands(flowing)
}

/// A line as long as this goes on in the next one, unless that is empty or set off.
const FULL_LINE: usize = 80;

/// Text with each paragraph on one line. What is set off, such as examples and tables, stays as it is.
fn paragraphs(text: &str) -> String {
    let mut flowing = String::with_capacity(text.len());
    let mut before = "";
    for line in text.lines() {
        let is_set_off = |line: &str| line.is_empty() || line.starts_with(' ');
        let goes_on = before.len() >= FULL_LINE && !is_set_off(before) && !before.ends_with(':') && !is_set_off(line);
        if goes_on && flowing.ends_with('\n') {
            flowing.pop();
            flowing.push(' ');
        }
        flowing.push_str(line);
        flowing.push('\n');
        before = line;
    }
    flowing
}

/// A table of exit codes as the text that a tool's help ends with.
pub fn exit_codes<E: Copy + Into<u8>>(table: &[(E, &str)]) -> String {
    let lines = table.iter().map(|(exit, meaning)| {
        let code: u8 = (*exit).into();
        format!("  {code:>3}  {meaning}\n")
    });
    iter::once("Exit codes:\n".to_owned()).chain(lines).collect()
}

/// Prints what clap has to say instead of running the tool.
fn refuse(error: &clap::Error, out: &mut (impl Write + ?Sized), err: &mut (impl Write + ?Sized)) -> Ended {
    // File names are arguments, too, and somebody else may have chosen them.
    let text = safe_lines(&error.render().to_string());
    if error.use_stderr() {
        let _ = write!(err, "{text}");
        return Ended::Refused;
    }
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ended::Answered,
        Err(error) => Ended::Unwritten(error),
    }
}

fn option() -> Arg {
    Arg::new(GENERATE).long(GENERATE).num_args(1..=2).value_names(["KIND", "DIR"]).help_heading("For packagers").help(
        "Print completions (bash, elvish, fish, powershell, zsh) or the man page (man); with DIR, write them there, the \
         man pages of all subcommands too, and print their names",
    )
}

/// What `--generate` was given.
fn asked(matches: &ArgMatches, parser: &mut Command) -> Result<Option<(Kind, Option<PathBuf>)>, clap::Error> {
    let Some(mut values) = matches.get_many::<String>(GENERATE) else { return Ok(None) };
    let kind = values.next().map_or("", String::as_str);
    if let Ok(kind) = Kind::from_str(kind, false) {
        return Ok(Some((kind, values.next().map(PathBuf::from))));
    }
    let kinds: Vec<_> = Kind::value_variants().iter().filter_map(ValueEnum::to_possible_value).collect();
    let kinds: Vec<&str> = kinds.iter().map(clap::builder::PossibleValue::get_name).collect();
    let text = format!("--generate {kind}: expected one of {}", kinds.join(", "));
    Err(parser.error(ErrorKind::InvalidValue, text))
}

/// Generates for a tool's table: into files in `folder`, whose names are printed, or onto `out`.
pub fn generate(
    command: Command,
    kind: Kind,
    folder: Option<&Path>,
    out: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    // A page about the word help says nothing.
    let mut command = command.disable_help_subcommand(true);
    let name = command.get_name().to_owned();
    command.set_bin_name(name);
    let files = match kind.shell() {
        Some(shell) => vec![completions(shell, command)],
        None => man_pages(command)?,
    };
    let Some(folder) = folder else {
        // The program's own page stands first.
        return files.first().map_or(Ok(()), |(_, bytes)| out.write_all(bytes)).and_then(|()| out.flush());
    };
    fs::create_dir_all(folder)?;
    for (name, bytes) in files {
        let path = folder.join(name);
        let mut file = BufWriter::new(File::create(&path)?);
        file.write_all(&bytes)?;
        file.flush()?;
        writeln!(out, "{}", safe_lines(&path.display().to_string()))?;
    }
    out.flush()
}

impl Kind {
    fn shell(self) -> Option<Shell> {
        Some(match self {
            Self::Bash => Shell::Bash,
            Self::Elvish => Shell::Elvish,
            Self::Fish => Shell::Fish,
            Self::Powershell => Shell::PowerShell,
            Self::Zsh => Shell::Zsh,
            Self::Man => return None,
        })
    }
}

/// A completion script under the name by which the shell looks for it.
fn completions(shell: Shell, mut command: Command) -> (String, Vec<u8>) {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    (shell.file_name(&name), script)
}

/// The page of a program, then those of its subcommands, under their file names.
fn man_pages(mut command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    // Gives the subcommands their full names.
    command.build();
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    let mut pages = Vec::new();
    let mut waiting = vec![command];
    while let Some(command) = waiting.pop() {
        let mut subcommands: Vec<Command> =
            command.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned().collect();
        subcommands.reverse();
        waiting.extend(subcommands);
        pages.push(page(command, &source)?);
    }
    Ok(pages)
}

/// One page: clap's sections, and the text after the help under headings as man pages have them.
fn page(command: Command, source: &str) -> io::Result<(String, Vec<u8>)> {
    let after = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    let (has_subcommands, has_options) = (command.has_subcommands(), command.get_arguments().next().is_some());
    let man = Man::new(command).manual("Casebook").source(source);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    if has_options {
        man.render_options_section(&mut text)?;
    }
    if has_subcommands {
        man.render_subcommands_section(&mut text)?;
    }
    sections(&after, &mut text)?;
    Ok((man.get_filename(), in_ascii(&String::from_utf8_lossy(&text))))
}

/// Typesetters agree on ASCII alone; they know other characters by number.
fn in_ascii(page: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(page.len());
    for char in page.chars() {
        if char.is_ascii() {
            bytes.push(char as u8);
        } else {
            bytes.extend_from_slice(format!("\\[u{:04X}]", u32::from(char)).as_bytes());
        }
    }
    bytes
}

/// Blocks such as `Exit codes:` with what is set off below them become sections; other text stands under NOTES.
fn sections(after: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let mut open = false;
    for line in after.lines().map(str::trim_end) {
        let title = line.strip_suffix(':').filter(|title| !title.is_empty() && !title.starts_with(' '));
        match title {
            Some(title) => {
                close(&mut open, page)?;
                let title = if title == "Exit codes" { "EXIT STATUS".to_owned() } else { title.to_uppercase() };
                writeln!(page, ".SH {}", roff(&format!("\"{}\"", title.replace('"', "''"))))?;
                writeln!(page, ".nf")?;
                open = true;
            }
            None if open => writeln!(page, "{}", roff(line))?,
            None if line.is_empty() => {}
            None => {
                writeln!(page, ".SH NOTES\n.nf\n{}", roff(line))?;
                open = true;
            }
        }
    }
    close(&mut open, page)
}

fn close(open: &mut bool, page: &mut Vec<u8>) -> io::Result<()> {
    if std::mem::take(open) { writeln!(page, ".fi") } else { Ok(()) }
}

/// A line in which nothing is a command to the typesetter.
fn roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::paragraphs;

    #[test]
    fn paragraphs_flow_and_what_is_set_off_stays() {
        let full = "A line of a text that somebody has broken where the source was wide enough, at some 100 places";
        let text = format!("Examples:\n  {full}\n  more\n\n{full}\n{full}\nand its end.\nShort.\n\n{full}:\nset off");
        let expected =
            format!("Examples:\n  {full}\n  more\n\n{full} {full} and its end.\nShort.\n\n{full}:\nset off\n");
        assert_eq!(paragraphs(&text), expected);
    }
}
