//! Processes around the alerts, as trees. `gather::trees` chooses them and says what it leaves out.

use serde::Serialize;

use super::Severity;
use crate::report::text::{Text, Time};

/// Process trees around alerts.
#[derive(Debug, Default, Serialize)]
pub struct Forest {
    /// Processes with alerts.
    pub alerting: u64,
    /// Those of them that are shown.
    pub shown: u64,
    /// Trees, each from its eldest known ancestor.
    pub roots: Vec<Node>,
}

/// A process in a tree.
#[derive(Debug, Default, Serialize)]
pub struct Node {
    /// Key of its life, as in the tables.
    pub upid: u64,
    /// Its number.
    pub pid: i64,
    /// Its name.
    pub name: Text,
    /// Its command line.
    pub cmdline: Text,
    /// Its user.
    pub user: Text,
    /// The cluster's user whose request started it.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user: Text,
    /// What it asked for: exec, attach or debug.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user_via: Text,
    /// How sure that is: high, medium or low.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user_confidence: Text,
    /// Who else it may be, in brackets.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub k8s_user_others: Text,
    /// Container, by its name or id; empty on the host.
    pub container: Text,
    /// Start; absent when it was there before the capture.
    pub start: Option<Time>,
    /// End.
    pub end: Option<Time>,
    /// Exit code or signal, in words.
    pub exit: Text,
    /// Alerts of the process itself, by rule, strongest first.
    pub alerts: Vec<NodeAlerts>,
    /// Alerts of it and of all below it.
    pub alerts_below: u64,
    /// Children that are shown, by start.
    pub children: Vec<Node>,
    /// Children that are not.
    pub left_out: u64,
    /// Generations between its parent in this tree and itself that are not shown.
    pub generations_left_out: u64,
    /// The capture; only at the root of a tree, and where there are several captures.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub capture: Text,
}

/// Alerts of one rule on one process.
#[derive(Debug, Serialize)]
pub struct NodeAlerts {
    /// The rule.
    pub rule: Text,
    /// Its priority.
    pub severity: Severity,
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Time,
}
