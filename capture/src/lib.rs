//! The recorder: system calls from the kernel into a capture file.
//!
//! Data flow: the kernel side (`bpf/`, eBPF) puts one record an event into a ring buffer → [`probe`] loads it and
//! reads the ring → [`record`] takes records apart → [`encode`] makes normal-form events of them, by the table of
//! [`calls`] → [`order`] sorts by time → [`sink`] hands over to a thread of its own, which compresses and keeps: in [`files`], or in
//! memory ([`flight`]) until a [`trigger`] fires. [`session`] runs all this and accounts for losses; [`snapshot`] says what
//! was there before the first event of each file ([`known`] helps where one begins later), and [`containers`] describes
//! each container when it is first seen.
//!
//! This crate runs as root on somebody's production machine, so it stays small enough to audit: no rule is evaluated, no data
//! frames, no network; `unsafe` only in [`sys`], block by block.

#![allow(rustdoc::private_intra_doc_links)] // the map above is for people who read the source

mod appear;
mod calls;
pub mod check;
pub mod cli;
mod containers;
mod encode;
mod files;
mod filter;
mod flags;
mod flight;
pub mod host;
mod known;
mod order;
mod probe;
mod record;
mod select;
mod session;
mod sink;
mod snapshot;
mod sys;
mod trigger;
mod undecided;
