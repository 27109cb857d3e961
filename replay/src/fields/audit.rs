//! `ka.*`, `json.*`, `jevt.*`: what audit events say. Which field is read from where is one table, [`plan`].
//!
//! Values are texts: the content of strings, the JSON text of everything else. A list without elements is absent, so
//! that `in` and `intersects` are false on it. Some fields read another place than their name says; rules written for
//! Falco's plugin rely on that, so they do the same here, and the table says so.

mod pod;

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

/// First value of a parameter of a URI, percent-decoded. A query with anything malformed in it has no parameters, as Falco's
/// plugin sees it.
fn parameter(uri: &str, name: &str) -> Option<Vec<u8>> {
    let pairs: Option<Vec<_>> = pairs(uri).collect();
    pairs?.into_iter().find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value)
}

/// All values of a parameter of a URI, percent-decoded; what is not UTF-8 in them becomes U+FFFD. Malformed pairs are passed
/// over, as the API server does.
pub(crate) fn parameters(uri: &str, name: &str) -> Vec<String> {
    let values = pairs(uri).flatten().filter(|(known, _)| known == name.as_bytes()).map(|(_, value)| value);
    values.map(|value| String::from_utf8_lossy(&value).into_owned()).collect()
}

/// Names and values in the query of a URI, percent-decoded; `None` for what is malformed.
fn pairs(uri: &str) -> impl Iterator<Item = Option<(Vec<u8>, Vec<u8>)>> {
    let query = uri.split_once('#').map_or(uri, |(before, _)| before).split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if pair.contains(';') { None } else { decoded(name).zip(decoded(value)) }
    })
}

/// Undoes percent-encoding, with `+` for a blank.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|byte| (*byte as char).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'%' {
            out.push((digit(at + 1)? << 4 | digit(at + 2)?) as u8);
            at += 3;
        } else {
            out.push(if byte == b'+' { b' ' } else { byte });
            at += 1;
        }
    }
    Some(out)
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

#[cfg(test)]
mod tests {
    // Documents and fields of the tests are valid.
    #![allow(clippy::unwrap_used)]

    use casebook_formats::tables::ppme;

    use super::super::sample::Sample;

    /// The texts of fields on a document.
    fn texts<const N: usize>(document: &str, fields: [&str; N]) -> [Option<String>; N] {
        let sample = Sample::new(ppme::PPME_PLUGINEVENT_E).with(1u32.to_le_bytes()).with(document.as_bytes());
        fields.map(|name| sample.alone(name))
    }

    fn some<const N: usize>(wanted: [&str; N]) -> [Option<String>; N] {
        wanted.map(|text| Some(text.to_owned()))
    }

    const POD: &str = r#"{"auditID":"1","requestURI":"/api/v1/namespaces/default/pods/web/exec?command=sh&command=-c&command=a%20b+c&tty",
        "objectRef":{"resource":"pods","name":"web"},"responseObject":{"metadata":{"name":"web-1"}},"user":{"groups":["a","b"]},
        "requestObject":{"spec":{"hostNetwork":true,"containers":[
          {"name":"c","image":"reg:5000/a/b:1","command":["sh","-c"],"ports":[{"hostPort":80,"containerPort":8080},{"containerPort":9}]},
          {"name":"d","image":"alpine@sha256:1","securityContext":{"privileged":true,"runAsUser":7,"capabilities":{"add":["NET_ADMIN"]}},"runAsUser":5}],
         "volumes":[{"name":"s","hostPath":{"path":"/var/run/docker.sock"}},{"name":"t","emptyDir":{}}]}}}"#;

    #[test]
    fn requests() {
        let fields = [
            "ka.uri.param[command]",
            "ka.uri.param[tty]",
            "ka.target.pod.name",
            "ka.user.groups",
            "json.value[/user/groups/1]",
        ];
        assert_eq!(texts(POD, fields), some(["sh", "", "web-1", "(a,b)", "b"]));
        let absent = ["ka.uri.param[x]", "ka.sourceips", "ka.verb", "jevt.value[/user/x]", "ka.req.role.rules.verbs"];
        assert_eq!(texts(POD, absent), [const { None }; 5]);
    }

    #[test]
    fn pods() {
        let fields = [
            "ka.req.pod.containers.image",
            "ka.req.pod.containers.image[1]",
            "ka.req.pod.containers.image.repository",
            "ka.req.pod.containers.command",
            "ka.req.pod.containers.host_port",
            "ka.req.pod.containers.privileged",
            "ka.req.pod.containers.eff_run_as_user",
            "ka.req.pod.containers.run_as_user",
            "ka.req.pod.containers.add_capabilities",
            "ka.req.container.privileged",
            "ka.req.container.image",
            "ka.req.pod.host_network",
        ];
        let wanted = [
            "(reg:5000/a/b:1,alpine@sha256:1)",
            "(alpine@sha256:1)",
            "(reg,alpine)",
            "(sh -c)",
            "(80,9)",
            "(true)",
            "(0,5)",
            "(7)",
            r#"(["NET_ADMIN"])"#,
            "true",
            "reg:5000/a/b:1",
            "true",
        ];
        assert_eq!(texts(POD, fields), some(wanted));
        let absent = [
            "ka.req.pod.containers.image[2]",
            "ka.req.pod.containers.privileged[0]",
            "ka.req.pod.initContainers.image",
        ];
        assert_eq!(texts(POD, absent), [const { None }; 3]);
    }

    #[test]
    fn volumes_of_pods() {
        let fields = [
            "ka.req.pod.volumes.hostpath",
            "ka.req.pod.volumes.hostpath[0]",
            "ka.req.pod.volumes.volume_type",
            "ka.req.volume.hostpath[/var/run/docker.sock]",
            "ka.req.volume.hostpath[/var/*]",
            "ka.req.volume.hostpath[/var]",
        ];
        let wanted =
            ["(/var/run/docker.sock)", "(/var/run/docker.sock)", "(hostPath,emptyDir)", "true", "true", "false"];
        assert_eq!(texts(POD, fields), some(wanted));
        assert_eq!(
            texts(POD, ["ka.req.pod.volumes.hostpath[1]", "ka.req.pod.volumes.flexvolume_driver"]),
            [None, None]
        );
    }

    #[test]
    fn roles_and_bindings() {
        let role = r#"{"auditID":"1","requestObject":{"rules":[{"verbs":["get","*"],"resources":["pods"]},{"verbs":["list"]}],
            "roleRef":{"name":"admin"},"subjects":[{"kind":"User","name":"u"},{"kind":"ServiceAccount","name":"s","namespace":"n"},
            {"kind":"ServiceAccount","name":"t"},{"kind":"Group","name":"g"}]}}"#;
        let fields = [
            "ka.req.role.rules.verbs",
            "ka.req.role.rules.verbs[1]",
            "ka.req.binding.role",
            "ka.req.binding.subjects.user_names",
            "ka.req.binding.subjects.serviceaccount_names",
            "ka.req.binding.subjects.serviceaccount_ns_names",
            "ka.req.binding.subjects.group_names",
            "ka.req.binding.subject.has_name[x]",
        ];
        let wanted = ["(get,*,list)", "(list)", "admin", "(u)", "(s,t)", "(n:s)", "(g)", "true"];
        assert_eq!(texts(role, fields), some(wanted));
    }

    /// What Falco's plugin makes of values where others are expected: arrays are walked through wherever they stand, an index
    /// chooses from them, what a path ends with is one text.
    #[test]
    fn odd_documents() {
        let pod = |spec: &str| format!(r#"{{"auditID":"1","requestObject":{{"spec":{{{spec}}}}}}}"#);
        let ports = pod(r#""ports":[{"port":80},{"port":8080}]"#);
        let whole = Some(r#"([{"port":80},{"port":8080}])"#.to_owned());
        assert_eq!(texts(&ports, ["ka.req.service.ports", "ka.req.service.ports[1]"]), [whole.clone(), whole]);
        assert_eq!(texts(&pod(r#""ports":80"#), ["ka.req.service.ports"]), some(["(80)"]));
        // One container that is no list, lists in lists.
        let fields =
            ["ka.req.pod.containers.image", "ka.req.pod.containers.image.repository[0]", "ka.req.container.privileged"];
        let one = pod(r#""containers":{"image":"a:1"}"#);
        assert_eq!(texts(&one, fields), [Some("(a:1)".to_owned()), Some("(a)".to_owned()), None]);
        let nested = pod(r#""containers":[[{"image":"a:1"}],{"image":"b"}]"#);
        assert_eq!(texts(&nested, fields), [Some("(a:1,b)".to_owned()), None, Some("false".to_owned())]);
        let none = pod(r#""containers":[]"#);
        assert_eq!(texts(&none, fields), [None, None, Some("false".to_owned())]);
        // The container of an index has to say it itself.
        let fields = [
            "ka.req.pod.containers.eff_run_as_user",
            "ka.req.pod.containers.eff_run_as_user[0]",
            "ka.req.pod.containers.eff_run_as_user[1]",
        ];
        let users = pod(r#""runAsUser":7,"containers":[{"name":"a"},{"runAsUser":null}]"#);
        assert_eq!(texts(&users, fields), [Some("(7,null)".to_owned()), None, Some("(null)".to_owned())]);
        // Words that are no texts, ports that are no list.
        let fields = ["ka.req.pod.containers.command", "ka.req.pod.containers.args", "ka.req.pod.containers.host_port"];
        let words = pod(
            r#""containers":[{"command":["sh",1],"args":[],"ports":[{"hostPort":"x"}]},{"args":["a","b"],"ports":[{"containerPort":1.0}]}]"#,
        );
        assert_eq!(texts(&words, fields), [None, Some("(,a b)".to_owned()), Some("(x,1.0)".to_owned())]);
        assert_eq!(
            texts(
                &pod(r#""containers":[{"ports":80},{"ports":[{"hostPort":1}]}]"#),
                ["ka.req.pod.containers.host_port"]
            ),
            [None]
        );
        let volumes = pod(r#""volumes":[{"name":"a","hostPath":{"path":null}},"x",{"secret":{},"configMap":[]}]"#);
        let fields =
            ["ka.req.pod.volumes.hostpath", "ka.req.pod.volumes.volume_type", "ka.req.pod.volumes.volume_type[2]"];
        assert_eq!(texts(&volumes, fields), some(["(null)", "(hostPath,secret,configMap)", "(secret,configMap)"]));
    }

    #[test]
    fn odd_texts() {
        let event = r#"{"auditID":null,"verb":["get",{"a":1.50}],"user":{"groups":"admins"},"responseStatus":{"code":2e2},
            "requestURI":"/a?x=%zz&command=sh","objectRef":{"resource":"pods","subresource":""},
            "responseObject":{"metadata":{"name":12345678901234567890123}},"annotations":{"a/b~c":{"":[0,[true]]}}}"#;
        let fields = [
            "ka.auditid",
            "ka.verb",
            "ka.response.code",
            "ka.target.pod.name",
            "ka.resp.name",
            "jevt.value[/annotations/a~1b~0c//1/0]",
        ];
        let wanted =
            ["null", r#"["get",{"a":1.50}]"#, "2e2", "12345678901234567890123", "12345678901234567890123", "true"];
        assert_eq!(texts(event, fields), some(wanted));
        assert_eq!(
            texts(event, ["ka.user.groups", "ka.uri.param[command]", "json.value[/]", "json.value[/verb/-1]"]),
            [None, None, None, None]
        );
        assert_eq!(
            super::parameters("/a?x=%zz&command=sh&command=-c&a;b&command=a+b#c", "command"),
            ["sh", "-c", "a b"]
        );
    }

    #[test]
    fn without_an_id_only_the_document_speaks() {
        let fields = ["ka.verb", "jevt.value[/verb]", "json.rawtime", "evt.source", "jevt.value[\"\"]"];
        let wanted = [None, Some("get"), Some("1588262409999999999"), Some("k8s_audit"), Some(r#"{"verb":"get"}"#)];
        assert_eq!(texts(r#"{"verb":"get"}"#, fields), wanted.map(|text| text.map(str::to_owned)));
    }
}
