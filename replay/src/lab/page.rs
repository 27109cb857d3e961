//! The reference page of case files, from the tables that read them.

use super::{requests, script};

/// `fixtures/CASES.md`.
pub fn cases() -> String {
    format!("{}{}{}{}", include_str!("page/cases.md"), script::page(), include_str!("page/events.md"), requests::page())
}
