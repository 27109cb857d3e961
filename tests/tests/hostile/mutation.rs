//! Ways to tamper with a capture. A capture is cut into its blocks, and events into their parameters; what is changed is
//! put together again with honest lengths, unless the lengths are what is changed.

/// Numbers from a seed (splitmix64): the same on every machine.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 when there is nothing below it.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// What a change does to the file as such.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Damage {
    /// Every block is still a block.
    None,
    /// The frame of a block is broken: the ledger must say so.
    Frame,
}

const EVENT: u32 = 0x216;
const EVENT_WITH_FLAGS: u32 = 0x217;

/// A whole event block of the counted form, taken apart.
struct Parts {
    flags: bool,
    /// Ring buffer, and the flags where there are any.
    head: Vec<u8>,
    ts: u64,
    tid: i64,
    etype: u16,
    params: Vec<Vec<u8>>,
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

impl Parts {
    fn read(block: &[u8]) -> Option<Self> {
        let flags = match u32_at(block, 0)? {
            EVENT => false,
            EVENT_WITH_FLAGS => true,
            _ => return None,
        };
        let at = if flags { 14 } else { 10 };
        let count = u32_at(block, at + 22)? as usize;
        let mut value = at + 26 + count * 2;
        let mut params = Vec::new();
        for n in 0..count {
            let len = usize::from(u16_at(block, at + 26 + n * 2)?);
            params.push(block.get(value..value + len)?.to_vec());
            value += len;
        }
        Some(Self {
            flags,
            head: block[8..at].to_vec(),
            ts: u64_at(block, at)?,
            tid: u64_at(block, at + 8)? as i64,
            etype: u16_at(block, at + 20)?,
            params,
        })
    }

    fn write(&self) -> Vec<u8> {
        let mut params: Vec<&[u8]> = self.params.iter().map(|param| &param[..param.len().min(0xFFFF)]).collect();
        while params.iter().map(|param| param.len() + 2).sum::<usize>() > 65_000 {
            params.pop();
        }
        let values = params.concat();
        let lens: Vec<u8> = params.iter().flat_map(|param| (param.len() as u16).to_le_bytes()).collect();
        let mut body = self.head.clone();
        body.extend(self.ts.to_le_bytes());
        body.extend(self.tid.to_le_bytes());
        body.extend(((26 + lens.len() + values.len()) as u32).to_le_bytes());
        body.extend(self.etype.to_le_bytes());
        body.extend((params.len() as u32).to_le_bytes());
        body.extend(lens);
        body.extend(values);
        casebook_fixtures::raw::block(if self.flags { EVENT_WITH_FLAGS } else { EVENT }, &body)
    }
}

/// The blocks of an uncompressed capture.
pub(crate) fn blocks(capture: &[u8]) -> Vec<Vec<u8>> {
    let mut blocks = Vec::new();
    let mut rest = capture;
    while let Some(len) = u32_at(rest, 4).map(|len| len as usize)
        && (12..=rest.len()).contains(&len)
    {
        blocks.push(rest[..len].to_vec());
        rest = &rest[len..];
    }
    blocks
}

const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    -2,
    -100,
    5000,
    i64::MIN,
    i64::MAX,
    i64::MIN + 1,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    1 << 32,
    1 << 40,
    255,
    256,
    65_535,
    999_999_999_999,
];

const TEXTS: &[&[u8]] = &[
    b"",
    b"\0",
    b"\0\0\0\0",
    b"\x1b[31m\x1b]0;owned\x07",
    "\u{202e}txt.exe\u{2066}".as_bytes(),
    b"\xff\xfe\xc3\x28\0",
    b"<NA>\0",
    b"../../../../../../..\0",
    b"//////\0",
    b"{\"container\":{\"id\":\"\\u001b[1m\",\"type\":-1,\"Mounts\":[{}],\"labels\":{\"\":\"\"},\"created_time\":1e99}}\0",
    b"/docker/7951fb549ab99e0722a949b6c121634e1f3a36b5bacbe5392991e3b12251e6b8\0",
    b"cpu=/docker/7951fb549ab99e0722a949b6c121634e1f3a36b5bacbe5392991e3b12251e6b8\0memory\0=\0",
    b"\x02\x7f\0\0\x01\xff\xff\x7f\0\0\x01\0\0",
    b"\x0a\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01\0\0",
    b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff/run/x\0",
    b"a\nb\r\tc\0=\0==\0 \0",
];

fn value(dice: &mut Dice, old: &[u8]) -> Vec<u8> {
    match dice.below(6) {
        0 => Vec::new(),
        // A number of the same width keeps the parameter valid.
        1 | 2 if matches!(old.len(), 1 | 2 | 4 | 8) => {
            let number = if dice.below(8) == 0 { dice.next() as i64 } else { *dice.pick(NUMBERS) };
            number.to_le_bytes()[..old.len()].to_vec()
        }
        3 => {
            let len = *dice.pick(&[1, 2, 3, 5, 7, 9, 17, 1023, 4097, 65_000]);
            vec![*dice.pick(b"A/\0\xff=[\x1b"); len]
        }
        4 => (0..dice.below(64)).map(|_| dice.next() as u8).collect(),
        _ => dice.pick(TEXTS).to_vec(),
    }
}

fn change_event(dice: &mut Dice, parts: &mut Parts, tids: &[i64]) {
    match dice.below(9) {
        0 => parts.etype = dice.below(450) as u16,
        1 => {
            parts.params.truncate(dice.below(parts.params.len() + 1));
        }
        2 => (0..dice.below(40)).for_each(|_| parts.params.push(value(dice, &[0; 8]))),
        3 => parts.tid = *dice.pick(NUMBERS),
        4 => parts.ts = *dice.pick(NUMBERS) as u64,
        // Ids that exist make loops, siblings and strange parents.
        5 | 6 if !tids.is_empty() => {
            let id = *dice.pick(tids);
            let wide: Vec<usize> = (0..parts.params.len()).filter(|&n| parts.params[n].len() == 8).collect();
            if wide.is_empty() {
                parts.tid = id;
            } else {
                parts.params[*dice.pick(&wide)] = id.to_le_bytes().to_vec();
            }
        }
        _ => {
            for _ in 0..=dice.below(4) {
                let at = dice.below(parts.params.len());
                if let Some(old) = parts.params.get_mut(at) {
                    *old = value(dice, old);
                }
            }
        }
    }
}

fn change_block(dice: &mut Dice, block: &mut Vec<u8>, tids: &[i64]) {
    if let Some(mut parts) = Parts::read(block) {
        for _ in 0..=dice.below(3) {
            change_event(dice, &mut parts, tids);
        }
        *block = parts.write();
        return;
    }
    // A snapshot: bytes inside change, the frame stays whole.
    if block.len() > 16 && block[..4] != [0x0A, 0x0D, 0x0D, 0x0A] {
        for _ in 0..=dice.below(16) {
            let at = 8 + dice.below(block.len() - 12);
            let width = (*dice.pick(&[1, 2, 4, 8])).min(block.len() - 4 - at);
            let number = dice.pick(NUMBERS).to_le_bytes();
            block[at..at + width].copy_from_slice(&number[..width]);
        }
    }
}

/// One capture made of `capture`, and of `other` now and then.
pub(crate) fn mutate(dice: &mut Dice, capture: &[Vec<u8>], other: &[Vec<u8>]) -> (Vec<u8>, Damage) {
    let mut blocks = capture.to_vec();
    let tids: Vec<i64> = capture.iter().filter_map(|block| Parts::read(block).map(|parts| parts.tid)).collect();
    let mut damage = Damage::None;
    // Few changes leave most of the story whole, many make a mess of it.
    let changes = *dice.pick(&[1, 4, 30, blocks.len(), blocks.len() * 2]);
    for _ in 0..changes {
        let at = 1 + dice.below(blocks.len().saturating_sub(1));
        if at >= blocks.len() {
            break;
        }
        match dice.below(40) {
            0 => {
                blocks.remove(at);
            }
            1 => {
                let again = blocks[at].clone();
                blocks.insert(at, again);
            }
            2 => {
                let to = dice.below(blocks.len());
                blocks.swap(at, to.max(1));
            }
            3 => {
                let length = dice.pick(NUMBERS).to_le_bytes();
                if blocks[at][4..8] != length[..4] {
                    blocks[at][4..8].copy_from_slice(&length[..4]);
                    damage = Damage::Frame;
                }
            }
            4 => {
                let bit = dice.below(blocks[at].len() * 8);
                blocks[at][bit / 8] ^= 1 << (bit % 8);
            }
            5 => {
                let types = [0x201, 0x203, 0x204, 0x208, 0x215, 0x218, 0x219, 0x220, 0x216, 0x217, 0x221, 0x222];
                blocks[at][..4].copy_from_slice(&u32::to_le_bytes(*dice.pick(&types)));
            }
            6 if !other.is_empty() => {
                let from = dice.below(other.len());
                let many = dice.below(30);
                blocks.splice(at..at, other[from..].iter().take(many).cloned());
            }
            _ => change_block(dice, &mut blocks[at], &tids),
        }
    }
    let mut bytes = blocks.concat();
    match dice.below(12) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => bytes.extend(other.concat()),
        _ => {}
    }
    (bytes, damage)
}
