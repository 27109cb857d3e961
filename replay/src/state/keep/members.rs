//! What values are made of: options, arrays, pairs, lists, maps, slots, descriptor tables, and what `formats` lends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::Hash;
use std::rc::Rc;

use casebook_formats::ledger::Ledger;
use casebook_formats::record::{self, Loss};
use casebook_formats::snapshot::{Interface, MachineInfo};

use super::super::limits::{MAX_FDS, MAX_THREADS};
use super::super::table::{Slots, TableId};
use super::super::{Fd, FdTable, Map, Mount, Text};
use super::{Keep, Keeper, Malformed, Taker, keep};

/// Most slots of a table: every thread has one descriptor table at most, and a clone makes one ahead.
const MAX_SLOTS: usize = MAX_THREADS + 16;

impl<T: Keep> Keep for Box<T> {
    fn keep(&self, to: &mut Keeper) {
        self.as_ref().keep(to);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        Ok(Self::new(T::take(from)?))
    }

    fn layout(to: &mut String) {
        T::layout(to);
    }
}

impl<T: Keep> Keep for Option<T> {
    fn keep(&self, to: &mut Keeper) {
        to.scalar(&self.is_some());
        if let Some(value) = self {
            value.keep(to);
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        if from.scalar()? { T::take(from).map(Some) } else { Ok(None) }
    }

    fn layout(to: &mut String) {
        to.push('?');
        T::layout(to);
    }
}

impl<T: Keep> Keep for [T; 3] {
    fn keep(&self, to: &mut Keeper) {
        for item in self {
            item.keep(to);
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        Ok([T::take(from)?, T::take(from)?, T::take(from)?])
    }

    fn layout(to: &mut String) {
        to.push_str("[3 ");
        T::layout(to);
        to.push(']');
    }
}

impl<A: Keep, B: Keep> Keep for (A, B) {
    fn keep(&self, to: &mut Keeper) {
        let (a, b) = self;
        a.keep(to);
        b.keep(to);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        Ok((A::take(from)?, B::take(from)?))
    }

    fn layout(to: &mut String) {
        to.push('(');
        A::layout(to);
        B::layout(to);
        to.push(')');
    }
}

/// Lists: the number of members, then the members. `$bound`: the type's own names, with what they can do.
macro_rules! lists {
    ($($list:ident<$member:ident: $($bound:ident)|+> $mark:literal),+ $(,)?) => {
        $(impl<$member: $($bound +)+> Keep for $list<$member> {
            fn keep(&self, to: &mut Keeper) {
                to.scalar(&(self.len() as u64));
                for member in self {
                    member.keep(to);
                }
            }

            fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
                let count = from.count()?;
                (0..count).map(|_| $member::take(from)).collect()
            }

            fn layout(to: &mut String) {
                to.push_str($mark);
                $member::layout(to);
            }
        })+
    };
}

/// Members of a `Vec` other than bytes, which have a form of their own.
pub(crate) trait Member: Keep {}

lists!(Vec<T: Member> "[]", VecDeque<T: Keep> "[]", BTreeSet<T: Keep | Ord> "{}");

impl<K: Keep + Ord, V: Keep> Keep for BTreeMap<K, V> {
    fn keep(&self, to: &mut Keeper) {
        to.scalar(&(self.len() as u64));
        for (key, value) in self {
            key.keep(to);
            value.keep(to);
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let count = from.count()?;
        (0..count).map(|_| Ok((K::take(from)?, V::take(from)?))).collect()
    }

    fn layout(to: &mut String) {
        to.push_str("map");
        <(K, V)>::layout(to);
    }
}

impl<K: Keep + Ord + Hash, V: Keep> Keep for Map<K, V> {
    fn keep(&self, to: &mut Keeper) {
        let mut entries: Vec<(&K, &V)> = self.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        to.scalar(&(entries.len() as u64));
        for (key, value) in entries {
            key.keep(to);
            value.keep(to);
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let count = from.count()?;
        (0..count).map(|_| Ok((K::take(from)?, V::take(from)?))).collect()
    }

    fn layout(to: &mut String) {
        to.push_str("map");
        <(K, V)>::layout(to);
    }
}

/// Slots keep their numbers, and the order in which free ones are used again.
impl<T: Keep> Keep for Slots<T> {
    fn keep(&self, to: &mut Keeper) {
        let Self { slots, free } = self;
        to.scalar(&(slots.len() as u64));
        for slot in slots {
            slot.keep(to);
        }
        to.scalar(&(free.len() as u64));
        for index in free {
            index.keep(to);
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let count = from.count()?;
        if count > MAX_SLOTS {
            return Err(Malformed::Contradiction("more slots than there can be"));
        }
        let slots: Vec<Option<T>> = (0..count).map(|_| Keep::take(from)).collect::<Result<_, _>>()?;
        let count = from.count()?;
        let free: Vec<u32> = (0..count).map(|_| from.scalar()).collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        let is_free = |index: &u32| slots.get(*index as usize).is_some_and(Option::is_none);
        if !free.iter().all(|index| is_free(index) && seen.insert(*index))
            || free.len() != slots.iter().filter(|slot| slot.is_none()).count()
        {
            return Err(Malformed::Contradiction("slots that are free and in use"));
        }
        Ok(Self { slots, free })
    }

    fn layout(to: &mut String) {
        to.push_str("slots");
        T::layout(to);
    }
}

impl Keep for TableId {
    fn keep(&self, to: &mut Keeper) {
        to.scalar(&self.0);
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        from.scalar().map(Self)
    }

    fn layout(to: &mut String) {
        to.push_str("table,");
    }
}

/// Descriptors by number: which of them live in the dense part follows from the number.
impl Keep for FdTable {
    fn keep(&self, to: &mut Keeper) {
        to.scalar(&(self.len() as u64));
        for (number, fd) in self.shares() {
            number.keep(to);
            fd.keep(to);
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let count = from.count()?;
        if count > MAX_FDS {
            return Err(Malformed::Contradiction("more descriptors than there can be"));
        }
        let mut table = Self::default();
        for _ in 0..count {
            let number = from.scalar()?;
            table.insert(number, Keep::take(from)?);
        }
        if table.len() == count { Ok(table) } else { Err(Malformed::Contradiction("a descriptor that is there twice")) }
    }

    fn layout(to: &mut String) {
        to.push_str("map");
        <(i64, Rc<Fd>)>::layout(to);
    }
}

impl Keep for Ledger {
    fn keep(&self, to: &mut Keeper) {
        to.bytes(&record::encode(&self.losses()));
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let losses: Vec<Loss> = record::decode(from.bytes()?).map_err(|_| Malformed::Format)?;
        Self::from_losses(&losses).ok_or(Malformed::Contradiction("a counter of an unknown name"))
    }

    fn layout(to: &mut String) {
        to.push_str("ledger,");
    }
}

keep!(MachineInfo { num_cpus, memory, max_pid, hostname, boot_ts });

impl Keep for Interface {
    fn keep(&self, to: &mut Keeper) {
        match self {
            Self::V4 { name, addr, netmask, broadcast, link_speed } => {
                to.scalar(&4_u8);
                name.keep(to);
                for addr in [addr, netmask, broadcast] {
                    addr.keep(to);
                }
                link_speed.keep(to);
            }
            Self::V6 { name, addr, netmask, broadcast, link_speed } => {
                to.scalar(&6_u8);
                name.keep(to);
                for addr in [addr, netmask, broadcast] {
                    addr.keep(to);
                }
                link_speed.keep(to);
            }
        }
    }

    fn take(from: &mut Taker<'_>) -> Result<Self, Malformed> {
        let version: u8 = from.scalar()?;
        let name = Keep::take(from)?;
        match version {
            4 => Ok(Self::V4 {
                name,
                addr: from.scalar()?,
                netmask: from.scalar()?,
                broadcast: from.scalar()?,
                link_speed: from.scalar()?,
            }),
            6 => Ok(Self::V6 {
                name,
                addr: from.scalar()?,
                netmask: from.scalar()?,
                broadcast: from.scalar()?,
                link_speed: from.scalar()?,
            }),
            _ => Err(Malformed::Format),
        }
    }

    fn layout(to: &mut String) {
        to.push_str("Interface(V4|V6),");
    }
}

impl Member for Interface {}
impl Member for Mount {}
impl Member for Text {}
impl Member for Box<[u8]> {}
impl Member for i64 {}
impl<A: Keep, B: Keep> Member for (A, B) {}
