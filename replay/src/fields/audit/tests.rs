//! Fields on documents, as Falco's plugin reads them.

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
    let absent =
        ["ka.req.pod.containers.image[2]", "ka.req.pod.containers.privileged[0]", "ka.req.pod.initContainers.image"];
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
    let wanted = ["(/var/run/docker.sock)", "(/var/run/docker.sock)", "(hostPath,emptyDir)", "true", "true", "false"];
    assert_eq!(texts(POD, fields), some(wanted));
    assert_eq!(texts(POD, ["ka.req.pod.volumes.hostpath[1]", "ka.req.pod.volumes.flexvolume_driver"]), [None, None]);
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
        texts(&pod(r#""containers":[{"ports":80},{"ports":[{"hostPort":1}]}]"#), ["ka.req.pod.containers.host_port"]),
        [None]
    );
    let volumes = pod(r#""volumes":[{"name":"a","hostPath":{"path":null}},"x",{"secret":{},"configMap":[]}]"#);
    let fields = ["ka.req.pod.volumes.hostpath", "ka.req.pod.volumes.volume_type", "ka.req.pod.volumes.volume_type[2]"];
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
    let wanted = ["null", r#"["get",{"a":1.50}]"#, "2e2", "12345678901234567890123", "12345678901234567890123", "true"];
    assert_eq!(texts(event, fields), some(wanted));
    assert_eq!(
        texts(event, ["ka.user.groups", "ka.uri.param[command]", "json.value[/]", "json.value[/verb/-1]"]),
        [None, None, None, None]
    );
    assert_eq!(super::parameters("/a?x=%zz&command=sh&command=-c&a;b&command=a+b#c", "command"), ["sh", "-c", "a b"]);
}

#[test]
fn without_an_id_only_the_document_speaks() {
    let fields = ["ka.verb", "jevt.value[/verb]", "json.rawtime", "evt.source", "jevt.value[\"\"]"];
    let wanted = [None, Some("get"), Some("1588262409999999999"), Some("k8s_audit"), Some(r#"{"verb":"get"}"#)];
    assert_eq!(texts(r#"{"verb":"get"}"#, fields), wanted.map(|text| text.map(str::to_owned)));
}
