//! Credentials of threads, and the lists of users and groups.

use casebook_formats::tables::ppme::{
    PPME_GROUP_ADDED_E, PPME_SYSCALL_UNSHARE_X, PPME_USER_ADDED_E, PPME_USER_DELETED_E,
};

use crate::state::flags::{CLONE_FILES, CLONE_NEWUSER};
use crate::state::step::Step;
use crate::state::{Group, State, User};

pub(super) fn setuid(state: &mut State, step: &mut Step<'_, '_>) {
    set_uid(state, step, 1);
}

pub(super) fn setgid(state: &mut State, step: &mut Step<'_, '_>) {
    set_gid(state, step, 1);
}

/// The effective id is the second one.
pub(super) fn setreuid(state: &mut State, step: &mut Step<'_, '_>) {
    set_uid(state, step, 2);
}

/// The effective id is the second one.
pub(super) fn setregid(state: &mut State, step: &mut Step<'_, '_>) {
    set_gid(state, step, 2);
}

/// -1 leaves an id as it is; libs takes it for an id.
fn id_of(step: &Step<'_, '_>, param: usize) -> Option<u32> {
    if step.res() != Some(0) {
        return None;
    }
    step.event.u64(param).map(|id| id as u32).filter(|&id| id != u32::MAX)
}

fn set_uid(state: &mut State, step: &mut Step<'_, '_>, param: usize) {
    if let (Some(uid), Some(id)) = (id_of(step, param), step.thread)
        && let Some(thread) = state.change(id)
    {
        thread.uid = Some(uid);
    }
}

fn set_gid(state: &mut State, step: &mut Step<'_, '_>, param: usize) {
    if let (Some(gid), Some(id)) = (id_of(step, param), step.thread)
        && let Some(thread) = state.change(id)
    {
        thread.gid = Some(gid);
    }
}

pub(super) fn capset(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let (Some(id), true) = (step.thread, step.succeeded()) else { return };
    if let Some(thread) = state.change(id) {
        thread.cap_inheritable = event.u64(1).unwrap_or(thread.cap_inheritable);
        thread.cap_permitted = event.u64(2).unwrap_or(thread.cap_permitted);
        thread.cap_effective = event.u64(3).unwrap_or(thread.cap_effective);
        thread.caps_lost = false;
    }
}

/// All capabilities that Linux has had so far (`CAP_CHECKPOINT_RESTORE` is the last).
const ALL_CAPABILITIES: u64 = (1 << 41) - 1;

/// Who enters a new user namespace has every capability inside. `unshare` ends the sharing of descriptors as well.
pub(super) fn namespaces_changed(state: &mut State, step: &mut Step<'_, '_>) {
    let (Some(id), true) = (step.thread, step.succeeded()) else { return };
    let is_unshare = step.event.etype == PPME_SYSCALL_UNSHARE_X;
    let flags = step.event.u64(if is_unshare { 1 } else { 2 }).unwrap_or(0) as u32;
    if is_unshare && flags & CLONE_FILES != 0 {
        state.leave_shared_table(id, step.ledger);
    }
    if flags & CLONE_NEWUSER == 0 {
        return;
    }
    if let Some(thread) = state.change(id) {
        thread.cap_inheritable = ALL_CAPABILITIES;
        thread.cap_permitted = ALL_CAPABILITIES;
        thread.cap_effective = ALL_CAPABILITIES;
        thread.caps_lost = false;
    }
}

/// useradded, userdeleted, groupadded, groupdeleted: of the host, or of the container named last.
pub(super) fn user_list_changed(state: &mut State, step: &mut Step<'_, '_>) {
    let event = step.event;
    let Some(number) = event.u64(0).map(|id| id as u32) else { return };
    let text = |at: usize| event.text(at).unwrap_or_default();
    let is_text = |at: usize, known: &[u8]| event.param(at).and_then(|value| value.strip_suffix(&[0])) == Some(known);
    // The same lists come again with every container that somebody looks at: what is known already changes nothing.
    match event.etype {
        PPME_USER_ADDED_E => {
            let container = text(5);
            let gid = event.u64(1).map_or(u32::MAX, |gid| gid as u32);
            let is_it = |user: &User| {
                user.gid == gid && is_text(2, &user.name) && is_text(3, &user.home) && is_text(4, &user.shell)
            };
            if state.users.user(container, number).is_some_and(is_it) {
                return;
            }
            let [name, home, shell] = [2, 3, 4].map(|at| state.text(text(at)));
            state.users.add_user(container, User { uid: number, gid, name, home, shell }, step.ledger);
        }
        PPME_USER_DELETED_E => state.users.remove_user(text(5), number, step.ledger),
        PPME_GROUP_ADDED_E => {
            let container = text(2);
            if state.users.group(container, number).is_some_and(|group| is_text(1, &group.name)) {
                return;
            }
            let group = Group { gid: number, name: state.text(text(1)) };
            state.users.add_group(container, group, step.ledger);
        }
        _ => state.users.remove_group(text(2), number, step.ledger),
    }
    state.people += 1;
}
