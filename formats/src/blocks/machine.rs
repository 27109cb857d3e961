//! Machine info block: 180 packed bytes (`reference/scap-format.md` section 3).

use super::{Cursor, TooLong};
use crate::snapshot::MachineInfo;

const HOSTNAME: usize = 128;

/// Decodes the body; `None` when it is shorter than the layout.
pub(crate) fn decode(body: &[u8]) -> Option<MachineInfo> {
    let mut at = Cursor::new(body);
    let (num_cpus, memory, max_pid) = (at.u32()?, at.u64()?, at.u64()?);
    let hostname = at.take(HOSTNAME)?;
    let boot_ts = at.u64()?;
    at.take(24)?;
    let hostname = hostname.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
    Some(MachineInfo { num_cpus, memory, max_pid, hostname, boot_ts })
}

/// Appends the body. The host name must leave room for its NUL.
pub(crate) fn encode(out: &mut Vec<u8>, info: &MachineInfo) -> Result<(), TooLong> {
    if info.hostname.len() >= HOSTNAME {
        return Err(TooLong { what: "host name", len: info.hostname.len(), limit: HOSTNAME - 1 });
    }
    out.extend_from_slice(&info.num_cpus.to_le_bytes());
    out.extend_from_slice(&info.memory.to_le_bytes());
    out.extend_from_slice(&info.max_pid.to_le_bytes());
    out.extend_from_slice(&info.hostname);
    out.resize(out.len() + HOSTNAME - info.hostname.len(), 0);
    out.extend_from_slice(&info.boot_ts.to_le_bytes());
    out.resize(out.len() + 24, 0); // flags and two reserved words
    Ok(())
}
