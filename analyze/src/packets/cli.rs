//! `packets`: flows of packet files and the processes that owned them; what `sql --packets` shares with it.

use std::io::{self, Write};
use std::path::PathBuf;

use casebook_replay::cli::{Exit, Terminals};
use clap::Args;
use polars::prelude::DataFrame;

use super::read::{Packets, read};
use crate::frames::View;
use crate::load::{LoadArgs, say};
use crate::print::form::Form;
use crate::sql::Session;
use crate::sql::cli::asked_once;

/// One line a flow and owner.
const FLOWS: &str = "\
SELECT proc_name, container_id, protocol, client_ip, client_port, server_ip, server_port, COUNT(*) AS packets, \
SUM(CASE WHEN to_server THEN length ELSE 0 END) AS to_server, SUM(CASE WHEN to_server THEN 0 ELSE length END) AS to_client, \
MIN(time) AS first, MAX(time) AS last \
FROM packets GROUP BY proc_name, container_id, protocol, client_ip, client_port, server_ip, server_port \
ORDER BY first, client_ip, client_port, server_ip, server_port, proc_name";

/// Options of `packets`.
#[derive(Args, Debug)]
pub struct PacketsArgs {
    #[command(flatten)]
    load: LoadArgs,

    /// Packet file: pcap or pcapng, also .gz and .zst; repeat for more
    ///
    /// A packet belongs to the process whose connection has the same two ends within 5 seconds, by the clocks of both
    /// files: to the one that sent it where both ends are in the captures. Where address translation lies between the
    /// process and where the packets were taken (a container behind NAT, seen from outside), the ends differ: such
    /// packets have no owner, and none is guessed. Take packets inside of the container, or on its bridge.
    #[arg(long, value_name = "FILE", required = true)]
    packets: Vec<PathBuf>,

    /// A question in SQL instead of the list of flows; `sql --packets` has all tables, saved queries and the shell
    #[arg(long, value_name = "SELECT", default_value = FLOWS, hide_default_value = true)]
    query: String,

    #[command(flatten)]
    form: Form,
}

/// Runs `packets`.
///
/// # Errors
///
/// The output could not be written.
pub fn run(args: &PacketsArgs, out: &mut dyn Write, err: &mut dyn Write, terminals: Terminals) -> io::Result<Exit> {
    let packets = match files(&args.packets, err) {
        Ok(packets) => packets,
        Err(exit) => return Ok(exit),
    };
    let mut session = Session::new(args.load.clone(), packets, false);
    asked_once(&mut session, &args.query, &args.form, (out, err), terminals)
}

/// Reads packet files; none where none are named.
///
/// # Errors
///
/// How the tool has to end, after saying why.
pub(crate) fn files(paths: &[PathBuf], err: &mut dyn Write) -> Result<Option<Packets>, Exit> {
    if paths.is_empty() {
        return Ok(None);
    }
    match read(paths) {
        Ok(packets) => {
            tell(&packets, err);
            Ok(Some(packets))
        }
        Err(error) => {
            say(err, &format!("error: --packets {error}"));
            Err(Exit::Usage)
        }
    }
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

/// Says how many packets no process of the captures owned, and why that can be.
pub(crate) fn tell_unowned(packets: &DataFrame, err: &mut dyn Write) {
    let lives = View::new(packets).uints("upid");
    let unowned = lives.iter().filter(|upid| upid.is_none()).count();
    if unowned > 0 {
        let why =
            "their connection is not in the captures, or address translation (NAT of a container) changed its ends";
        say(err, &format!("note: {unowned} of {} packets have no owner: {why}", lives.len()));
    }
}
