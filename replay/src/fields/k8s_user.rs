//! `k8s.user.*`: the Kubernetes user behind a process, where an audit log was read along ([`crate::audit::join`]).

use casebook_rules::event::Extracted;
use casebook_rules::value::Value;

use super::catalogue::K8sUserField;
use super::{borrowed, fixed, many, owned, when};
use crate::context::EventContext;
use crate::summary::iso_time;

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: K8sUserField) -> Extracted<'e> {
    let Some(binding) = context.k8s_user() else { return Extracted::Absent };
    let request = binding.request;
    let list = |texts: &'e [String]| many(texts.iter().map(|text| Value::text(text.as_bytes())));
    match field {
        K8sUserField::K8sUserName => borrowed(request.user.as_bytes()),
        K8sUserField::K8sUserGroups => list(&request.groups),
        K8sUserField::K8sUserImpersonated => when(request.impersonated.as_ref(), |name| borrowed(name.as_bytes())),
        K8sUserField::K8sUserAuditId => borrowed(request.audit_id.as_bytes()),
        K8sUserField::K8sUserSourceIps => list(&request.source_ips),
        K8sUserField::K8sUserAgent => {
            when(Some(&request.agent).filter(|it| !it.is_empty()), |it| borrowed(it.as_bytes()))
        }
        K8sUserField::K8sUserVia => fixed(request.via.word()),
        K8sUserField::K8sUserCommand => list(&request.command),
        K8sUserField::K8sUserTime => owned(iso_time(request.received)),
        K8sUserField::K8sUserConfidence => fixed(binding.confidence.word()),
        K8sUserField::K8sUserOthers => many(binding.others.iter().map(|user| Value::text(user.as_bytes()))),
    }
}
