//! `packets`: flows of packet files and the processes that owned them.

use std::io::{self, Write};
use std::path::PathBuf;

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;
use polars::prelude::IntoLazy as _;
use polars::sql::SQLContext;

use super::read::{Packets, read};
use crate::frames::{Error, Frames, Wanted};
use crate::load::{LoadArgs, say};
use crate::print::{self, Format};

/// One line a flow: both directions together, the end that sent first as the client.
const FLOWS: &str = "\
SELECT proc_name, container_id, protocol, src_ip, src_port, dst_ip, dst_port, count(*) AS packets, \
sum(length) AS bytes, min(time) AS first, max(time) AS last \
FROM packets GROUP BY proc_name, container_id, protocol, src_ip, src_port, dst_ip, dst_port \
ORDER BY first, src_ip, src_port, dst_ip, dst_port";

/// Options of `packets`.
#[derive(Args, Debug)]
pub struct PacketsArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Packet file: pcap or pcapng, also .gz and .zst; repeat for more
    #[arg(long, value_name = "FILE", required = true)]
    packets: Vec<PathBuf>,

    /// A question in SQL over `packets` and `network` instead of the list of flows
    #[arg(long, value_name = "SELECT", default_value = FLOWS, hide_default_value = true)]
    query: String,

    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "table", help_heading = "Output")]
    format: Format,
}

/// Runs `packets`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &PacketsArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let packets = match read(&args.packets) {
        Ok(packets) => packets,
        Err(error) => {
            say(err, &format!("error: --packets {error}"));
            return Ok(Exit::Usage);
        }
    };
    tell(&packets, err);
    if args.format.is_binary() && terminals.out {
        say(err, "error: this would fill the terminal with bytes: redirect it into a file");
        return Ok(Exit::Usage);
    }
    let loaded = match args.load.load(Wanted::tables(&["network"]), err, terminals) {
        Ok(loaded) => loaded,
        Err(exit) => return Ok(exit),
    };
    match answer(args, &packets, &loaded.frames, terminals.out, out) {
        Ok(()) => Ok(loaded.exit),
        Err(Error::Io(error)) => Err(error),
        Err(error) => {
            say(err, &format!("error: {error}"));
            Ok(Exit::Usage)
        }
    }
}

fn answer(
    args: &PacketsArgs,
    packets: &Packets,
    frames: &Frames,
    terminal: bool,
    out: &mut dyn Write,
) -> Result<(), Error> {
    let mut context = SQLContext::new();
    context.register("packets", super::frame(packets, frames)?.lazy());
    context.register("network", frames.frame("network").clone().lazy());
    let answer = context.execute(&args.query)?.collect()?;
    print::show(&answer, args.format, terminal, false, out)
}

/// Says what of the packet files could not be used.
fn tell(packets: &Packets, err: &mut dyn Write) {
    for damage in &packets.damage {
        say(err, &format!("warning: {damage}"));
    }
    if packets.others > 0 {
        say(err, &format!("note: {} packets are no IP, or are cut off before their addresses", packets.others));
    }
    if packets.left_out > 0 {
        say(err, &format!("warning: {} packets found no room; split the file", packets.left_out));
    }
}
