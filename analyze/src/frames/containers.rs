//! The tables `containers` and `users`.

use std::collections::HashMap;

use casebook_replay::context::EventContext;
use casebook_replay::state::{Container, State};
use foldhash::fast::FixedState;
use serde_json::{Map, Value as Json};

use super::Error;
use super::cells::Cell;
use super::table::{Builder, Sink};
use super::words::{Words, utf8};

/// Containers of one capture that have rows.
const MAX_CONTAINERS: usize = 1 << 17;

/// What was seen of a container, and the last that was told of it.
#[derive(Default)]
struct Seen {
    order: usize,
    first: u64,
    last: u64,
    events: u64,
    told: Option<Container>,
}

/// All containers of one capture.
#[derive(Default)]
pub(super) struct Containers {
    seen: HashMap<Box<[u8]>, Seen, FixedState>,
    /// Containers for which there was no room.
    pub(super) refused: u64,
}

impl Containers {
    /// An event in or about a container.
    pub(super) fn event(&mut self, context: &EventContext<'_>) {
        let about = context.effects.is_about_container();
        let container = context.state.event_container(context.effects);
        let id = match (container, context.thread) {
            (Some(container), _) if about => &container.id,
            (_, Some(thread)) => &thread.container_id,
            _ => return,
        };
        if id.is_empty() {
            return;
        }
        let Some(seen) = self.entry(id) else { return };
        let ts = context.event.ts;
        if ts != 0 && ts != u64::MAX {
            seen.first = if seen.first == 0 { ts } else { seen.first.min(ts) };
            seen.last = seen.last.max(ts);
        }
        seen.events += u64::from(!about);
        if let Some(container) = container
            && seen.told.as_ref().is_none_or(|told| told.version != container.version)
        {
            seen.told = Some(container.clone());
        }
    }

    /// Containers that the state knows: at the beginning of a section, and at the end.
    pub(super) fn known(&mut self, state: &State) {
        for container in state.containers() {
            if let Some(seen) = self.entry(&container.id) {
                seen.told = Some(container.clone());
            }
        }
    }

    fn entry(&mut self, id: &[u8]) -> Option<&mut Seen> {
        if !self.seen.contains_key(id) {
            if self.seen.len() >= MAX_CONTAINERS {
                self.refused += 1;
                return None;
            }
            let order = self.seen.len();
            self.seen.insert(id.into(), Seen { order, ..Seen::default() });
        }
        self.seen.get_mut(id)
    }

    /// Writes the table.
    pub(super) fn finish(self, mut table: Builder, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
        let mut all: Vec<(Box<[u8]>, Seen)> = self.seen.into_iter().collect();
        all.sort_unstable_by_key(|(_, seen)| seen.order);
        for (id, seen) in &all {
            let labels = seen.told.as_ref().filter(|told| told.has_metadata).map(labels);
            let told = |text: fn(&Container) -> Option<&[u8]>| {
                seen.told.as_ref().and_then(text).filter(|text| !text.is_empty()).map_or(Cell::Null, Cell::Bytes)
            };
            let made = |column: &str| match column {
                "id" => Cell::Bytes(id),
                "full_id" => told(|container| Some(&container.full_id)),
                "name" => told(|container| Some(&container.name)),
                "type" => match seen.told.as_ref().and_then(|told| told.kind.name()) {
                    Some(name) if !name.is_empty() => Cell::Text(name),
                    _ => Cell::Null,
                },
                "image" => told(|container| Some(&container.image)),
                "image_repository" => told(|container| Some(&container.image_repository)),
                "image_tag" => told(|container| Some(&container.image_tag)),
                "image_digest" => told(|container| Some(&container.image_digest)),
                "privileged" => seen.told.as_ref().and_then(|told| told.privileged).into(),
                "pod_name" => told(|container| container.pod_name().map(|text| &text[..])),
                "pod_namespace" => told(|container| container.pod_namespace().map(|text| &text[..])),
                "pod_uid" => told(|container| container.pod_uid().map(|text| &text[..])),
                "labels" => labels.as_deref().into(),
                "first" => Cell::Time(seen.first),
                "last" => Cell::Time(seen.last),
                "events" => Cell::Uint(seen.events),
                _ => Cell::Null,
            };
            table.stored(words, &[], made, sink)?;
        }
        table.finish(words, sink)
    }
}

/// Labels as a JSON object.
fn labels(container: &Container) -> String {
    let text = |bytes: &[u8]| utf8(bytes).into_owned();
    let labels: Map<String, Json> =
        container.labels.iter().map(|(key, value)| (text(key), Json::String(text(value)))).collect();
    Json::Object(labels).to_string()
}

/// Writes the table `users`: the lists as they are at the end.
pub(super) fn users(state: &State, table: &mut Builder, words: &mut Words, sink: &mut dyn Sink) -> Result<(), Error> {
    for (container, users, groups) in state.name_lists() {
        let container = if container.is_empty() { b"host" } else { container };
        let known = |text: &'_ casebook_replay::state::Text| !text.is_empty();
        for user in users {
            let made = |column: &str| match column {
                "container_id" => Cell::Bytes(container),
                "kind" => Cell::Text("user"),
                "id" => Cell::Uint(user.uid.into()),
                "name" => Cell::Bytes(&user.name),
                "home" if known(&user.home) => Cell::Bytes(&user.home),
                "shell" if known(&user.shell) => Cell::Bytes(&user.shell),
                _ => Cell::Null,
            };
            table.stored(words, &[], made, sink)?;
        }
        for group in groups {
            let made = |column: &str| match column {
                "container_id" => Cell::Bytes(container),
                "kind" => Cell::Text("group"),
                "id" => Cell::Uint(group.gid.into()),
                "name" => Cell::Bytes(&group.name),
                _ => Cell::Null,
            };
            table.stored(words, &[], made, sink)?;
        }
    }
    Ok(())
}
