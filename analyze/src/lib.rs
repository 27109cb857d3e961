//! Questions asked of captures: as data frames in SQL, as counts, as views and reports.
//!
//! Data flow: captures → `casebook-replay`'s engine (state, fields, rules) → [`frames`], whose tables [`schema`] declares →
//! queries, views, reports, exports. [`load`] is how every command names captures and gets frames; [`stats`] counts events
//! by any field without frames; [`cli`] is the table of subcommands.

pub mod baseline;
pub mod cache;
pub mod cli;
pub mod export;
pub mod frames;
pub mod ioc;
pub mod load;
pub mod packets;
pub mod print;
pub mod report;
pub mod schema;
pub mod sql;
pub mod stats;
pub mod views;
