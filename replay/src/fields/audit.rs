//! `ka.*`, `json.*`, `jevt.*`: what audit events say. Which field is read from where is one table, [`plan`].
//!
//! Values are texts: the content of strings, the JSON text of everything else. A list without elements is absent, so
//! that `in` and `intersects` are false on it. Some fields read another place than their name says; rules written for
//! Falco's plugin rely on that, so they do the same here, and the table says so.

mod pod;
#[cfg(test)]
mod tests;
mod uri;

use std::borrow::Cow;

use casebook_rules::event::Extracted;
use casebook_rules::schema::FieldArg;
use casebook_rules::value::Value;

use super::catalogue::AuditField;
use super::{fixed, index, key, many, owned, when};
use crate::audit::AuditEvent;
use crate::audit::json::Json;
use crate::context::EventContext;
use pod::{CONTAINERS, EPHEMERAL, INIT, Property};
use uri::parameter;
pub(crate) use uri::parameters;

/// Where a field is read from.
#[derive(Clone, Copy)]
enum Plan {
    /// One value below these members.
    One(&'static [&'static str]),
    /// Elements of an array below these members.
    List(&'static [&'static str]),
    /// A value at the JSON pointer of the argument.
    Pointer,
    /// The document, indented.
    Whole,
    /// Time of the event in nanoseconds.
    Time,
    /// `true`, whatever the event.
    Always,
    /// A parameter of the request's URI.
    Parameter,
    /// Name of the pod that a request about pods answers with.
    PodName,
    /// Names of the subjects of this kind in a binding, with their namespaces or without.
    Subjects(&'static str, bool),
    /// Elements of this array in the rules of a role.
    Rules(&'static str),
    /// The ports of a service.
    Ports,
    /// A property of each container in one of the lists of a pod.
    Containers(&'static str, Property),
    /// A property of the first container.
    FirstContainer(Property),
    /// Whether some container is privileged.
    AnyPrivileged,
    /// A value below these members of each volume.
    Volumes(&'static [&'static str]),
    /// Names of the members of volumes: their types, one would think.
    VolumeTypes,
    /// Whether some host path is that of the argument.
    HostPathIs,
}

/// The table.
#[rustfmt::skip]
fn plan(field: AuditField) -> Plan {
    match field {
        AuditField::JsonValue => Plan::Pointer,
        AuditField::JsonObj => Plan::Whole,
        AuditField::JsonRawtime => Plan::Time,
        AuditField::JevtValue => Plan::Pointer,
        AuditField::JevtObj => Plan::Whole,
        AuditField::JevtRawtime => Plan::Time,
        AuditField::KaAuditid => Plan::One(&["auditID"]),
        AuditField::KaStage => Plan::One(&["stage"]),
        AuditField::KaAuthDecision => Plan::One(&["annotations", "authorization.k8s.io/decision"]),
        AuditField::KaAuthReason => Plan::One(&["annotations", "authorization.k8s.io/reason"]),
        AuditField::KaAuthOpenshiftDecision => Plan::One(&["annotations", "authentication.openshift.io/decision"]),
        AuditField::KaValidationsAdmissionPolicyFailure => Plan::One(&["annotations", "validation.policy.admission.k8s.io/validation_failure"]),
        AuditField::KaSecurityPodViolations => Plan::One(&["annotations", "pod-security.kubernetes.io/audit-violations"]),
        AuditField::KaAuthOpenshiftUsername => Plan::One(&["annotations", "authentication.openshift.io/username"]),
        AuditField::KaUserName => Plan::One(&["user", "username"]),
        AuditField::KaUserGroups => Plan::List(&["user", "groups"]),
        AuditField::KaImpuserName => Plan::One(&["impersonatedUser", "username"]),
        AuditField::KaVerb => Plan::One(&["verb"]),
        AuditField::KaUri => Plan::One(&["requestURI"]),
        AuditField::KaUriParam => Plan::Parameter,
        AuditField::KaTargetName => Plan::One(&["objectRef", "name"]),
        AuditField::KaTargetNamespace => Plan::One(&["objectRef", "namespace"]),
        AuditField::KaTargetResource => Plan::One(&["objectRef", "resource"]),
        AuditField::KaTargetSubresource => Plan::One(&["objectRef", "subresource"]),
        AuditField::KaTargetPodName => Plan::PodName,
        AuditField::KaReqBindingSubjects => Plan::List(&["requestObject", "subjects"]),
        AuditField::KaReqBindingSubjectsUserNames => Plan::Subjects("User", false),
        AuditField::KaReqBindingSubjectsServiceaccountNames => Plan::Subjects("ServiceAccount", false),
        AuditField::KaReqBindingSubjectsServiceaccountNsNames => Plan::Subjects("ServiceAccount", true),
        AuditField::KaReqBindingSubjectsGroupNames => Plan::Subjects("Group", false),
        AuditField::KaReqBindingRole => Plan::One(&["requestObject", "roleRef", "name"]),
        AuditField::KaReqBindingSubjectHasName => Plan::Always,
        AuditField::KaReqConfigmapName => Plan::One(&["objectRef", "name"]),
        AuditField::KaReqConfigmapObj => Plan::One(&["requestObject", "data"]),
        AuditField::KaReqPodContainersArgs => Plan::Containers(CONTAINERS, Property::Args),
        AuditField::KaReqPodContainersCommand => Plan::Containers(CONTAINERS, Property::Command),
        AuditField::KaReqPodContainersName => Plan::Containers(CONTAINERS, Property::Name),
        AuditField::KaReqPodContainersImage => Plan::Containers(CONTAINERS, Property::Image),
        AuditField::KaReqContainerImage => Plan::FirstContainer(Property::Image),
        AuditField::KaReqPodContainersImageRepository => Plan::Containers(CONTAINERS, Property::ImageRepository),
        AuditField::KaReqContainerImageRepository => Plan::FirstContainer(Property::ImageRepository),
        AuditField::KaReqPodHostIpc => Plan::One(&["requestObject", "spec", "hostIPC"]),
        AuditField::KaReqPodHostNetwork => Plan::One(&["requestObject", "spec", "hostNetwork"]),
        AuditField::KaReqContainerHostNetwork => Plan::One(&["requestObject", "spec", "hostNetwork"]),
        AuditField::KaReqPodHostPid => Plan::One(&["requestObject", "spec", "hostPID"]),
        AuditField::KaReqPodContainersHostPort => Plan::Containers(CONTAINERS, Property::HostPort),
        AuditField::KaReqPodContainersPrivileged => Plan::Containers(CONTAINERS, Property::Privileged),
        AuditField::KaReqContainerPrivileged => Plan::AnyPrivileged,
        AuditField::KaReqPodContainersAllowPrivilegeEscalation => Plan::Containers(CONTAINERS, Property::AllowPrivilegeEscalation),
        AuditField::KaReqPodContainersReadOnlyFs => Plan::Containers(CONTAINERS, Property::ReadOnlyFs),
        AuditField::KaReqPodRunAsUser => Plan::One(&["requestObject", "spec", "securityContext", "runAsUser"]),
        AuditField::KaReqPodContainersRunAsUser => Plan::Containers(CONTAINERS, Property::RunAsUser),
        AuditField::KaReqPodContainersEffRunAsUser => Plan::Containers(CONTAINERS, Property::EffRunAsUser),
        AuditField::KaReqPodRunAsGroup => Plan::One(&["requestObject", "spec", "securityContext", "runAsGroup"]),
        AuditField::KaReqPodContainersRunAsGroup => Plan::Containers(CONTAINERS, Property::RunAsGroup),
        AuditField::KaReqPodContainersEffRunAsGroup => Plan::Containers(CONTAINERS, Property::EffRunAsGroup),
        AuditField::KaReqPodContainersProcMount => Plan::Containers(CONTAINERS, Property::ProcMount),
        AuditField::KaReqRoleRules => Plan::List(&["requestObject", "rules"]),
        AuditField::KaReqRoleRulesApiGroups => Plan::Rules("apiGroups"),
        AuditField::KaReqRoleRulesNonResourceURLs => Plan::Rules("nonResourceURLs"),
        AuditField::KaReqRoleRulesVerbs => Plan::Rules("verbs"),
        AuditField::KaReqRoleRulesResources => Plan::Rules("resources"),
        AuditField::KaReqPodFsGroup => Plan::One(&["requestObject", "spec", "securityContext", "fsGroup"]),
        AuditField::KaReqPodSupplementalGroups => Plan::List(&["requestObject", "spec", "securityContext", "supplementalGroups"]),
        AuditField::KaReqPodContainersAddCapabilities => Plan::Containers(CONTAINERS, Property::AddCapabilities),
        AuditField::KaReqServiceType => Plan::One(&["requestObject", "spec", "type"]),
        AuditField::KaReqServicePorts => Plan::Ports,
        AuditField::KaReqPodVolumesHostpath => Plan::Volumes(&["hostPath", "path"]),
        AuditField::KaReqVolumeHostpath => Plan::HostPathIs,
        AuditField::KaReqPodVolumesFlexvolumeDriver => Plan::Volumes(&["flexVolume", "driver"]),
        AuditField::KaReqPodVolumesVolumeType => Plan::VolumeTypes,
        AuditField::KaRespName => Plan::One(&["responseObject", "metadata", "name"]),
        AuditField::KaResponseCode => Plan::One(&["responseStatus", "code"]),
        AuditField::KaResponseReason => Plan::One(&["responseStatus", "reason"]),
        AuditField::KaUseragent => Plan::One(&["userAgent"]),
        AuditField::KaSourceips => Plan::Rules("sourceIPs"),
        AuditField::KaClusterName => Plan::One(&["annotations", "cluster_name"]),
        AuditField::KaReqPodInitContainersName => Plan::Containers(INIT, Property::Name),
        AuditField::KaReqPodInitContainersImage => Plan::Containers(INIT, Property::Image),
        AuditField::KaReqPodInitContainersImageRepository => Plan::Containers(INIT, Property::ImageRepository),
        AuditField::KaReqPodInitContainersCommand => Plan::Containers(INIT, Property::Command),
        AuditField::KaReqPodInitContainersArgs => Plan::Containers(INIT, Property::Args),
        AuditField::KaReqPodInitContainersPrivileged => Plan::Containers(INIT, Property::Privileged),
        AuditField::KaReqPodInitContainersAllowPrivilegeEscalation => Plan::Containers(INIT, Property::AllowPrivilegeEscalation),
        AuditField::KaReqPodInitContainersReadOnlyFs => Plan::Containers(INIT, Property::ReadOnlyFs),
        AuditField::KaReqPodInitContainersRunAsUser => Plan::Containers(INIT, Property::RunAsUser),
        AuditField::KaReqPodInitContainersEffRunAsUser => Plan::Containers(INIT, Property::EffRunAsUser),
        AuditField::KaReqPodInitContainersRunAsGroup => Plan::Containers(INIT, Property::RunAsGroup),
        AuditField::KaReqPodInitContainersEffRunAsGroup => Plan::Containers(INIT, Property::EffRunAsGroup),
        AuditField::KaReqPodInitContainersProcMount => Plan::Containers(INIT, Property::ProcMount),
        AuditField::KaReqPodInitContainersAddCapabilities => Plan::Containers(INIT, Property::AddCapabilities),
        AuditField::KaReqPodInitContainersHostPort => Plan::Containers(INIT, Property::HostPort),
        AuditField::KaReqPodEphemeralContainersName => Plan::Containers(EPHEMERAL, Property::Name),
        AuditField::KaReqPodEphemeralContainersImage => Plan::Containers(EPHEMERAL, Property::Image),
        AuditField::KaReqPodEphemeralContainersImageRepository => Plan::Containers(EPHEMERAL, Property::ImageRepository),
        AuditField::KaReqPodEphemeralContainersCommand => Plan::Containers(EPHEMERAL, Property::Command),
        AuditField::KaReqPodEphemeralContainersArgs => Plan::Containers(EPHEMERAL, Property::Args),
        AuditField::KaReqPodEphemeralContainersPrivileged => Plan::Containers(EPHEMERAL, Property::Privileged),
        AuditField::KaReqPodEphemeralContainersAllowPrivilegeEscalation => Plan::Containers(EPHEMERAL, Property::AllowPrivilegeEscalation),
        AuditField::KaReqPodEphemeralContainersReadOnlyFs => Plan::Containers(EPHEMERAL, Property::ReadOnlyFs),
        AuditField::KaReqPodEphemeralContainersRunAsUser => Plan::Containers(EPHEMERAL, Property::RunAsUser),
        AuditField::KaReqPodEphemeralContainersEffRunAsUser => Plan::Containers(EPHEMERAL, Property::EffRunAsUser),
        AuditField::KaReqPodEphemeralContainersRunAsGroup => Plan::Containers(EPHEMERAL, Property::RunAsGroup),
        AuditField::KaReqPodEphemeralContainersEffRunAsGroup => Plan::Containers(EPHEMERAL, Property::EffRunAsGroup),
        AuditField::KaReqPodEphemeralContainersProcMount => Plan::Containers(EPHEMERAL, Property::ProcMount),
        AuditField::KaReqPodEphemeralContainersAddCapabilities => Plan::Containers(EPHEMERAL, Property::AddCapabilities),
    }
}

/// Value of a field on an event; absent on all that are no audit events.
pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: AuditField, arg: &FieldArg) -> Extracted<'e> {
    let Some(document) = context.document else { return Extracted::Absent };
    let plan = plan(field);
    // To the fields of audit events, a document without an id is none; those of any document do not mind.
    let any = matches!(plan, Plan::Pointer | Plan::Whole | Plan::Time);
    if any || document.json.get("auditID").is_some() { of_document(document, plan, arg) } else { Extracted::Absent }
}

fn of_document<'e>(document: &'e AuditEvent, plan: Plan, arg: &FieldArg) -> Extracted<'e> {
    let json = &document.json;
    match plan {
        Plan::One(path) => when(json.at(path), |value| Extracted::One(text(value))),
        Plan::List(path) => when(json.at(path).and_then(Json::list), |items| many(items.iter().map(text))),
        Plan::Pointer => {
            when(key(arg).and_then(|pointer| json.pointer(unquoted(pointer))), |value| Extracted::One(text(value)))
        }
        Plan::Whole => owned(json.indented()),
        Plan::Time => owned(document.ts.to_string()),
        Plan::Always => fixed("true"),
        Plan::Parameter => when(json.get("requestURI").and_then(Json::str).zip(key(arg)), |(uri, name)| {
            when(parameter(uri, name), owned)
        }),
        Plan::PodName => when(pod_name(json), |name| Extracted::One(text(name))),
        Plan::Subjects(kind, with_namespace) => subjects(json, kind, with_namespace),
        Plan::Rules(member) => rules(json, member, index(arg)),
        Plan::Ports => when(json.at(&["requestObject", "spec", "ports"]), |ports| many([text(ports)])),
        Plan::Containers(list, property) => pod::containers(json, list, property, index(arg)),
        Plan::FirstContainer(property) => match pod::containers(json, CONTAINERS, property, Some(0)) {
            Extracted::Many(values) => when(values.into_iter().next(), Extracted::One),
            other => other,
        },
        Plan::AnyPrivileged => when(pod::any_privileged(json), |any| fixed(if any { "true" } else { "false" })),
        Plan::Volumes(path) => {
            when(volumes(json, path, index(arg)), |found| many(found.into_iter().flatten().map(text)))
        }
        Plan::VolumeTypes => {
            when(volumes(json, &[], index(arg)), |found| many(found.into_iter().flatten().flat_map(member_names)))
        }
        Plan::HostPathIs => when(volumes(json, &["hostPath", "path"], None).zip(key(arg)), |(found, wanted)| {
            let mut paths = found.into_iter().flatten().map(Json::text);
            let hit = match wanted.strip_suffix('*') {
                Some(prefix) => paths.any(|path| path.starts_with(prefix)),
                None => paths.any(|path| path == wanted),
            };
            fixed(if hit { "true" } else { "false" })
        }),
    }
}

/// A value as text.
fn text(value: &Json) -> Value<'_> {
    match value {
        Json::Text(text) => Value::text(text.as_bytes()),
        other => Value::Text(Cow::Owned(other.text().into_bytes())),
    }
}

/// An argument without the quotes that a condition may put around it.
fn unquoted(argument: &str) -> &str {
    let inner = |quote: char| argument.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(argument)
}

/// The values below several members, through every array on the way: of all its elements, or of the one of the index. `None`
/// stands for an element that lacks the members. Without an array the path leads to one value; where that is missing, or the
/// element of the index lacks it, there is nothing at all. What the path ends with is not taken apart.
fn below<'e>(json: &'e Json, path: &[&str], index: Option<u64>) -> Option<Vec<Option<&'e Json>>> {
    let mut value = json;
    for (at, member) in path.iter().enumerate() {
        if let Json::List(items) = value {
            let Some(index) = index else {
                let mut all = Vec::with_capacity(items.len());
                for item in items {
                    all.extend(below(item, &path[at..], None).unwrap_or_else(|| vec![None]));
                }
                return Some(all);
            };
            value = items.get(usize::try_from(index).ok()?)?;
        }
        value = if member.is_empty() { value } else { value.get(member)? };
    }
    Some(vec![Some(value)])
}

fn pod_name(json: &Json) -> Option<&Json> {
    let target = json.get("objectRef")?;
    let about_pods = target.get("resource").and_then(Json::str) == Some("pods");
    let whole = target.get("subresource").and_then(Json::str).is_none_or(str::is_empty);
    json.at(&["responseObject", "metadata", "name"]).filter(|_| about_pods && whole)
}

fn subjects<'e>(json: &'e Json, kind: &str, with_namespace: bool) -> Extracted<'e> {
    let all = json.at(&["requestObject", "subjects"]).and_then(Json::list).unwrap_or_default();
    let of_kind = all.iter().filter(|subject| subject.get("kind").and_then(Json::str) == Some(kind));
    many(of_kind.filter_map(|subject| {
        let name = subject.get("name")?;
        if !with_namespace {
            return Some(text(name));
        }
        let namespace = subject.get("namespace")?;
        Some(Value::owned(format!("{}:{}", namespace.text(), name.text())))
    }))
}

fn rules<'e>(json: &'e Json, member: &str, index: Option<u64>) -> Extracted<'e> {
    when(below(json, &["requestObject", "rules", member], index), |found| {
        many(found.into_iter().flatten().filter_map(Json::list).flatten().map(text))
    })
}

/// What lies below these members in the volumes of a pod.
fn volumes<'e>(json: &'e Json, path: &[&str], index: Option<u64>) -> Option<Vec<Option<&'e Json>>> {
    // Without a path the volumes themselves, one by one.
    let path: &[&str] = if path.is_empty() { &[""] } else { path };
    below(json, &[&["requestObject", "spec", "volumes"][..], path].concat(), index)
}

fn member_names(volume: &Json) -> impl Iterator<Item = Value<'_>> {
    let members = if let Json::Object(members) = volume { &members[..] } else { &[] };
    members.iter().filter(|(name, _)| &**name != "name").map(|(name, _)| Value::text(name.as_bytes()))
}
