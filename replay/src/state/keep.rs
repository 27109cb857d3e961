//! The state as bytes, and back: what a checkpoint holds.
//!
//! Every type of the state has a `keep!` list of its members beside it. The list takes the value apart and puts it
//! together again by name, so a member that is missing in it does not compile. Scalars are bincode's
//! (`casebook_formats::record`), lists and maps have their length in front, maps are sorted: equal states give equal bytes,
//! whatever their history. What objects share (texts, descriptor records, descriptor tables) is written once and then
//! referred to by number, so that it is shared again when it is read.
//!
//! Bytes are input like any other: they may come from a damaged or hostile file. Memory follows the bytes that are
//! there; numbers of slots are bounded; whoever reads a state asks `State::check` whether it agrees with itself
//! (`check.rs`), because everything else here relies on that.
//!
//! [`Keep::layout`] names all members with their types: who keeps bytes keeps a hash of it with them, and knows when
//! the members are other ones today.

mod members;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use casebook_formats::record::{self, Digest, Scalar};
use foldhash::fast::RandomState;

use super::{Fd, FdTable, Text};
pub(crate) use members::Member;

/// Limit of one scalar; the longest is an IPv6 address.
const SCALAR: usize = 64;

/// Why bytes are no state.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Malformed {
    /// They end too early, or a value is none of its type.
    #[error("its content does not follow the format")]
    Format,
    /// They are a state that cannot be.
    #[error("its content contradicts itself: {0}")]
    Contradiction(&'static str),
}

/// A value that can be kept.
pub(crate) trait Keep: Sized {
    /// Appends the value.
    fn keep(&self, to: &mut Keeper);
    /// Takes the next value.
    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed>;
    /// Names the members.
    fn layout(to: &mut String);
}

/// Bytes being made.
#[derive(Default)]
pub(crate) struct Keeper {
    bytes: Vec<u8>,
    /// Numbers of texts that are in `bytes`, from 1.
    texts: HashMap<Text, u32, RandomState>,
    /// Numbers of records and tables by their addresses; they live as long as the state is borrowed.
    fds: HashMap<usize, u32, RandomState>,
    tables: HashMap<usize, u32, RandomState>,
}

impl Keeper {
    fn scalar<T: Scalar>(&mut self, value: &T) {
        record::encode_onto(value, &mut self.bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.scalar(&(bytes.len() as u64));
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Bytes being read.
pub(crate) struct Taker<'b> {
    rest: &'b [u8],
    texts: Vec<Text>,
    fds: Vec<Rc<Fd>>,
    tables: Vec<Rc<FdTable>>,
}

impl<'b> Taker<'b> {
    pub(crate) fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes, texts: Vec::new(), fds: Vec::new(), tables: Vec::new() }
    }

    fn scalar<T: Scalar>(&mut self) -> Result<T, Malformed> {
        let (value, rest) = record::decode_first::<T, SCALAR>(self.rest).map_err(|_| Malformed::Format)?;
        self.rest = rest;
        Ok(value)
    }

    fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        let len = usize::try_from(self.scalar::<u64>()?).map_err(|_| Malformed::Format)?;
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or(Malformed::Format)?;
        self.rest = rest;
        Ok(bytes)
    }

    /// A number of things that take a byte each at least.
    fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.scalar::<u64>()?).ok().filter(|&count| count <= self.rest.len()).ok_or(Malformed::Format)
    }

    /// The end, where it has to be.
    pub(crate) fn finish(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed::Format) }
    }
}

/// Names the type of a member.
pub(crate) fn layout_of<S, T: Keep>(_: impl Fn(&S) -> &T, to: &mut String) {
    T::layout(to);
}

/// Makes a struct one that can be kept: `keep!(Type { all, its, members })`. Members after `else` are not kept and get the
/// value given.
macro_rules! keep {
    ($type:ident { $($member:ident),+ $(,)? } $(else { $($left:ident: $value:expr),+ $(,)? })?) => {
        impl $crate::state::keep::Keep for $type {
            fn keep(&self, to: &mut $crate::state::keep::Keeper) {
                let Self { $($member,)+ $($($left: _,)+)? } = self;
                $($crate::state::keep::Keep::keep($member, to);)+
            }

            fn take(from: &mut $crate::state::keep::Taker<'_>) -> Result<Self, $crate::state::keep::Malformed> {
                Ok(Self {
                    $($member: $crate::state::keep::Keep::take(from)?,)+
                    $($($left: $value,)+)?
                })
            }

            fn layout(to: &mut String) {
                to.push_str(concat!(stringify!($type), "{"));
                $(
                    to.push_str(concat!(stringify!($member), ":"));
                    $crate::state::keep::layout_of(|it: &Self| &it.$member, to);
                )+
                to.push('}');
            }
        }
    };
}

/// Makes an enum without content one that can be kept: all its variants, in an order that stays.
macro_rules! keep_choice {
    ($type:ident { $($variant:ident),+ $(,)? }) => {
        impl $crate::state::keep::Keep for $type {
            fn keep(&self, to: &mut $crate::state::keep::Keeper) {
                match self {
                    $(Self::$variant)|+ => {}
                }
                let place = [$(Self::$variant),+].iter().position(|variant| variant == self);
                $crate::state::keep::Keep::keep(&(place.unwrap_or_default() as u8), to);
            }

            fn take(from: &mut $crate::state::keep::Taker<'_>) -> Result<Self, $crate::state::keep::Malformed> {
                let place: u8 = $crate::state::keep::Keep::take(from)?;
                [$(Self::$variant),+].get(usize::from(place)).copied().ok_or($crate::state::keep::Malformed::Format)
            }

            fn layout(to: &mut String) {
                to.push_str(concat!(stringify!($type), "("));
                $(to.push_str(concat!(stringify!($variant), "|"));)+
                to.push(')');
            }
        }
    };
}

pub(crate) use {keep, keep_choice};

macro_rules! scalars {
    ($($type:ty),+) => {
        $(impl Keep for $type {
            fn keep(&self, to: &mut Keeper) {
                to.scalar(self);
            }

            fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
                from.scalar()
            }

            fn layout(to: &mut String) {
                to.push_str(concat!(stringify!($type), ","));
            }
        })+
    };
}

scalars!(bool, u8, u16, u32, u64, usize, i64, IpAddr, Ipv4Addr, Ipv6Addr, Digest);

impl Keep for Text {
    fn keep(&self, to: &mut Keeper) {
        if let Some(&number) = to.texts.get(self) {
            return to.scalar(&number);
        }
        to.scalar(&0_u32);
        to.bytes(self);
        let number = to.texts.len() as u32 + 1;
        to.texts.insert(Rc::clone(self), number);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        if let Some(at) = from.scalar::<u32>()?.checked_sub(1) {
            return from.texts.get(at as usize).cloned().ok_or(Malformed::Format);
        }
        let text: Self = Rc::from(from.bytes()?);
        from.texts.push(Rc::clone(&text));
        Ok(text)
    }

    fn layout(to: &mut String) {
        to.push_str("text,");
    }
}

/// Bytes that belong to one owner.
impl Keep for Box<[u8]> {
    fn keep(&self, to: &mut Keeper) {
        to.bytes(self);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        Ok(Box::from(from.bytes()?))
    }

    fn layout(to: &mut String) {
        to.push_str("bytes,");
    }
}

impl Keep for String {
    fn keep(&self, to: &mut Keeper) {
        to.bytes(self.as_bytes());
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        Self::from_utf8(from.bytes()?.to_vec()).map_err(|_| Malformed::Format)
    }

    fn layout(to: &mut String) {
        to.push_str("string,");
    }
}

impl Keep for Vec<u8> {
    fn keep(&self, to: &mut Keeper) {
        to.bytes(self);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        Ok(from.bytes()?.to_vec())
    }

    fn layout(to: &mut String) {
        to.push_str("bytes,");
    }
}

/// Objects that are shared: written where they occur first.
macro_rules! shared {
    ($type:ident, $pool:ident) => {
        impl Keep for Rc<$type> {
            fn keep(&self, to: &mut Keeper) {
                let address = Rc::as_ptr(self) as usize;
                if let Some(&number) = to.$pool.get(&address) {
                    return to.scalar(&number);
                }
                to.scalar(&0_u32);
                self.as_ref().keep(to);
                let number = to.$pool.len() as u32 + 1;
                to.$pool.insert(address, number);
            }

            fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
                if let Some(at) = from.scalar::<u32>()?.checked_sub(1) {
                    return from.$pool.get(at as usize).cloned().ok_or(Malformed::Format);
                }
                let object = Rc::new($type::take(from)?);
                from.$pool.push(Rc::clone(&object));
                Ok(object)
            }

            fn layout(to: &mut String) {
                $type::layout(to);
            }
        }
    };
}

shared!(Fd, fds);
shared!(FdTable, tables);
