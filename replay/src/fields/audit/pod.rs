//! Containers in the pod of a request: one set of properties for containers, init containers and ephemeral ones.

use casebook_rules::event::Extracted;
use casebook_rules::value::Value;

use super::super::{many, when};
use super::{below, text};
use crate::audit::json::Json;

/// Name of the list of ordinary containers.
pub(super) const CONTAINERS: &str = "containers";
/// Name of the list of init containers.
pub(super) const INIT: &str = "initContainers";
/// Name of the list of ephemeral containers.
pub(super) const EPHEMERAL: &str = "ephemeralContainers";

/// What is asked of a container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Property {
    Name,
    Image,
    ImageRepository,
    Command,
    Args,
    HostPort,
    Privileged,
    AllowPrivilegeEscalation,
    ReadOnlyFs,
    RunAsUser,
    RunAsGroup,
    EffRunAsUser,
    EffRunAsGroup,
    ProcMount,
    AddCapabilities,
}

/// A property of the containers of a list, or of the one of the index.
pub(super) fn containers<'e>(json: &'e Json, list: &str, property: Property, index: Option<u64>) -> Extracted<'e> {
    match property {
        // Every container has a name and an image; where one lacks it, the whole list is worth nothing.
        Property::Name => when(all(json, list, &["name"], index), |found| many(found.into_iter().map(text))),
        Property::Image => when(all(json, list, &["image"], index), |found| many(found.into_iter().map(text))),
        Property::ImageRepository => when(all(json, list, &["image"], index), |images| {
            many(images.into_iter().map(|image| Value::owned(repository(&image.text()))))
        }),
        Property::Command => words(json, list, "command", index),
        Property::Args => words(json, list, "args", index),
        Property::Privileged => security(json, list, &["privileged"], index),
        Property::AllowPrivilegeEscalation => security(json, list, &["allowPrivilegeEscalation"], index),
        Property::ReadOnlyFs => security(json, list, &["readOnlyRootFilesystem"], index),
        Property::RunAsUser => security(json, list, &["runAsUser"], index),
        Property::RunAsGroup => security(json, list, &["runAsGroup"], index),
        Property::ProcMount => security(json, list, &["procMount"], index),
        Property::AddCapabilities => security(json, list, &["capabilities", "add"], index),
        Property::EffRunAsUser => effective(json, list, "runAsUser", index),
        Property::EffRunAsGroup => effective(json, list, "runAsGroup", index),
        Property::HostPort => ports(json, list, index),
    }
}

/// What lies below these members in the containers of a list; `None` stands for a container that lacks it.
fn each<'e>(json: &'e Json, list: &str, path: &[&str], index: Option<u64>) -> Option<Vec<Option<&'e Json>>> {
    below(json, &[&["requestObject", "spec", list][..], path].concat(), index)
}

/// The same, where every container has it.
fn all<'e>(json: &'e Json, list: &str, path: &[&str], index: Option<u64>) -> Option<Vec<&'e Json>> {
    each(json, list, path, index)?.into_iter().collect()
}

/// A member of the security contexts of those containers that have it.
fn security<'e>(json: &'e Json, list: &str, path: &[&str], index: Option<u64>) -> Extracted<'e> {
    let found = each(json, list, &[&["securityContext"][..], path].concat(), index);
    when(found, |found| many(found.into_iter().flatten().map(text)))
}

/// A list of words of those containers that have it, with blanks between them. Where it is no list of texts, there is
/// nothing for any of them.
fn words<'e>(json: &'e Json, list: &str, member: &str, index: Option<u64>) -> Extracted<'e> {
    let joined = |words: &Json| {
        let words: Option<Vec<&str>> = words.list()?.iter().map(Json::str).collect();
        words.map(|words| Value::owned(words.join(" ")))
    };
    let found = each(json, list, &[member], index);
    let lines = found.and_then(|found| found.into_iter().flatten().map(joined).collect::<Option<Vec<_>>>());
    when(lines, many)
}

/// Ports on the host, or else in the container: with the network of the host they are the same.
fn ports<'e>(json: &'e Json, list: &str, index: Option<u64>) -> Extracted<'e> {
    let found = each(json, list, &["ports"], index);
    let ports = found.and_then(|found| found.into_iter().flatten().map(Json::list).collect::<Option<Vec<_>>>());
    when(ports, |ports| {
        many(
            ports.into_iter().flatten().filter_map(|port| port.get("hostPort").or(port.get("containerPort"))).map(text),
        )
    })
}

/// The image up to its first colon, then up to its first `@`. With a port in the registry's name that is too short,
/// and rules written for Falco's plugin see it so.
fn repository(image: &str) -> String {
    let before = |text: &str, mark: char| text.split(mark).next().unwrap_or_default().to_owned();
    before(&before(image, ':'), '@')
}

/// Looked for where Falco's plugin looks: directly in the container, then directly in the pod, in neither's security
/// context; 0 where it is not found. The container of an index must have it itself.
fn effective<'e>(json: &'e Json, list: &str, member: &str, index: Option<u64>) -> Extracted<'e> {
    let of_pod = json.at(&["requestObject", "spec", member]);
    when(each(json, list, &[member], index), |found| {
        many(found.into_iter().map(|own| own.or(of_pod).map_or(Value::text(b"0"), text)))
    })
}

/// Whether some ordinary container is privileged; `None` without containers.
pub(super) fn any_privileged(json: &Json) -> Option<bool> {
    let found = each(json, CONTAINERS, &["securityContext", "privileged"], None)?;
    Some(found.contains(&Some(&Json::Bool(true))))
}
