//! Containers in the pod of a request: one set of properties for containers, init containers and ephemeral ones.

use casebook_rules::event::Extracted;
use casebook_rules::value::Value;
use smallvec::SmallVec;

use super::{element, many, text};
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
    let Some(spec) = json.at(&["requestObject", "spec"]) else { return Extracted::Absent };
    let mut values: SmallVec<[Value<'e>; 4]> = SmallVec::new();
    for container in element(spec.get(list).and_then(Json::list), index) {
        let before = values.len();
        push(container, spec, property, &mut values);
        // Every container has a name and an image; where one lacks it, the whole list is worth nothing.
        let mandatory = matches!(property, Property::Name | Property::Image | Property::ImageRepository);
        if mandatory && values.len() == before {
            return Extracted::Absent;
        }
    }
    many(values)
}

fn push<'e>(container: &'e Json, spec: &'e Json, property: Property, values: &mut SmallVec<[Value<'e>; 4]>) {
    let security = |path: &[&str]| container.get("securityContext").and_then(|context| context.at(path)).map(text);
    let one = match property {
        Property::Name => container.get("name").map(text),
        Property::Image => container.get("image").map(text),
        Property::ImageRepository => container.get("image").map(|image| Value::owned(repository(&image.text()))),
        Property::Command => container.get("command").and_then(joined),
        Property::Args => container.get("args").and_then(joined),
        Property::Privileged => security(&["privileged"]),
        Property::AllowPrivilegeEscalation => security(&["allowPrivilegeEscalation"]),
        Property::ReadOnlyFs => security(&["readOnlyRootFilesystem"]),
        Property::RunAsUser => security(&["runAsUser"]),
        Property::RunAsGroup => security(&["runAsGroup"]),
        Property::ProcMount => security(&["procMount"]),
        Property::AddCapabilities => security(&["capabilities", "add"]),
        Property::EffRunAsUser => Some(effective(container, spec, "runAsUser")),
        Property::EffRunAsGroup => Some(effective(container, spec, "runAsGroup")),
        Property::HostPort => {
            let ports = container.get("ports").and_then(Json::list).unwrap_or_default();
            values.extend(ports.iter().filter_map(|port| port.get("hostPort").or(port.get("containerPort"))).map(text));
            None
        }
    };
    values.extend(one);
}

/// The image up to its first colon, then up to its first `@`. With a port in the registry's name that is too short,
/// and rules written for Falco's plugin see it so.
fn repository(image: &str) -> String {
    let before = |text: &str, mark: char| text.split(mark).next().unwrap_or_default().to_owned();
    before(&before(image, ':'), '@')
}

/// Elements of an array with blanks between them.
fn joined<'e>(list: &Json) -> Option<Value<'e>> {
    let words: Vec<String> = list.list()?.iter().map(Json::text).collect();
    Some(Value::owned(words.join(" ")))
}

/// Looked for where Falco's plugin looks: directly in the container, then directly in the pod, in neither's security
/// context; 0 where it is not found.
fn effective<'e>(container: &'e Json, spec: &'e Json, member: &str) -> Value<'e> {
    container.get(member).or_else(|| spec.get(member)).map_or(Value::text(b"0"), text)
}

/// Whether some ordinary container is privileged; `None` without containers.
pub(super) fn any_privileged(json: &Json) -> Option<bool> {
    let containers = json.at(&["requestObject", "spec", CONTAINERS])?.list()?;
    let privileged = |container: &Json| container.at(&["securityContext", "privileged"]) == Some(&Json::Bool(true));
    Some(containers.iter().any(privileged))
}
