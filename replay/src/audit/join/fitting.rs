//! Which request is behind a thread: by pod, container, command and time, with the confidence that the evidence allows (the
//! table of [`super`]). What the state keeps of a process' way into its container is [`Origin`].

use std::collections::BTreeSet;

use super::{Binding, Confidence, DEBUG_WINDOW, Request, Requests, Via, WINDOW};
use crate::state::container::Container;
use crate::state::origin::Origin;
use crate::state::{State, Thread};

/// Label by which runtimes name a container of a pod.
const CONTAINER_NAME: &[u8] = b"io.kubernetes.container.name";

impl Requests {
    /// The request behind a thread.
    pub(super) fn behind(&self, state: &State, thread: &Thread) -> Option<Binding<'_>> {
        let origin = state.origin_of(thread)?;
        let container = state.container_of(thread).filter(|container| container.has_metadata);
        let began = if thread.lastexec_ts == 0 { thread.clone_ts } else { thread.lastexec_ts };
        let fit = |request| self.fit(request, &origin, container, began);
        let mut fitting: Vec<Binding<'_>> = match container {
            Some(container) => self.for_pod_of(container).filter_map(fit).collect(),
            None => self.around(origin.ts).filter_map(fit).collect(),
        };
        let time = if origin.ts == 0 { began } else { origin.ts };
        // The surest, then the nearest; requests are in the order of time.
        let best = fitting.iter().map(|binding| binding.confidence).max()?;
        fitting.retain(|binding| binding.confidence == best);
        let distance = |binding: &&Binding<'_>| (time.abs_diff(binding.request.received), binding.request.received);
        let nearest = fitting.iter().min_by_key(distance)?.request;
        let users: BTreeSet<&str> = fitting.iter().map(|binding| binding.request.user.as_str()).collect();
        let others: Vec<&str> = users.into_iter().filter(|user| *user != nearest.user).collect();
        let confidence = if others.is_empty() { best } else { Confidence::Low };
        Some(Binding { request: nearest, confidence, others })
    }

    /// Requests for the pod that a container is of.
    fn for_pod_of(&self, container: &Container) -> impl Iterator<Item = &Request> {
        let text = |text: Option<&crate::state::Text>| text.map(|text| String::from_utf8_lossy(text).into_owned());
        let pod = text(container.pod_namespace()).zip(text(container.pod_name()));
        let numbers = pod.and_then(|pod| self.by_pod.get(&pod)).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|at| self.all.get(*at))
    }

    /// Requests whose exec can have been at a time.
    fn around(&self, ts: u64) -> impl Iterator<Item = &Request> {
        let first = ts.saturating_sub(WINDOW).saturating_sub(self.skew);
        let begin = self.all.partition_point(|request| request.received < first);
        let last = ts.saturating_add(self.skew);
        self.all.iter().skip(begin).take_while(move |request| request.received <= last)
    }

    /// How well a request fits a process that came into its container so; `began` is the thread's own start.
    fn fit<'r>(
        &self,
        request: &'r Request,
        origin: &Origin,
        container: Option<&Container>,
        began: u64,
    ) -> Option<Binding<'r>> {
        let pod = container.map_or(Some(false), |container| request.is_for(container).then_some(true))?;
        let name = container.and_then(|container| container.label(CONTAINER_NAME));
        let named = |name: &[u8]| request.containers.iter().any(|wanted| wanted.as_bytes() == name);
        let confidence = match request.via {
            Via::Exec => {
                if origin.first
                    || !request.asks_for(origin)
                    || name.is_some_and(|name| !request.containers.is_empty() && !named(name))
                {
                    return None;
                }
                // What a session starts is there before it ends.
                let ended = request.completed.is_some_and(|end| origin.ts > end.saturating_add(self.skew));
                match (pod, origin.ts) {
                    _ if ended => return None,
                    // Everything of before the capture would do.
                    (false, 0) => return None,
                    (true, 0) => Confidence::Medium,
                    (_, ts) if !self.is_within(ts, request.received, WINDOW) => return None,
                    (false, _) => Confidence::Low,
                    (true, _) => Confidence::High,
                }
            }
            Via::Debug => {
                let is_it = pod && origin.first && name.is_some_and(|name| named(name));
                if !is_it || !self.is_within(origin.ts, request.received, DEBUG_WINDOW) {
                    return None;
                }
                Confidence::High
            }
            Via::Attach => {
                let elsewhere = name.is_some_and(|name| !request.containers.is_empty() && !named(name));
                let end = request.completed.map_or(u64::MAX, |end| end.saturating_add(self.skew));
                let during = began.saturating_add(self.skew) >= request.received && began <= end;
                // The first process itself was there before.
                if !pod || !origin.first || elsewhere || !during || began <= origin.ts {
                    return None;
                }
                Confidence::Low
            }
        };
        Some(Binding { request, confidence, others: Vec::new() })
    }

    fn is_within(&self, ts: u64, received: u64, window: u64) -> bool {
        ts.saturating_add(self.skew) >= received && ts <= received.saturating_add(window).saturating_add(self.skew)
    }
}

impl Request {
    /// Whether a container is of the pod that was asked for.
    fn is_for(&self, container: &Container) -> bool {
        if let (Some(asked), Some(uid)) = (&self.pod_uid, container.pod_uid()) {
            return asked.as_bytes() == &uid[..];
        }
        container.pod_namespace().is_some_and(|it| self.namespace.as_bytes() == &it[..])
            && container.pod_name().is_some_and(|it| self.pod.as_bytes() == &it[..])
    }

    /// Whether a program is the one that was asked for.
    fn asks_for(&self, origin: &Origin) -> bool {
        self.command.iter().map(String::as_bytes).eq(origin.command())
    }
}
