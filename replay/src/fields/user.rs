//! `user.*` and `group.*`: whose thread it is, by number and by the names that the capture or its container events give.

use casebook_rules::event::Extracted;

use super::catalogue::UserField;
use super::{borrowed, signed, unsigned, when};
use crate::context::EventContext;
use crate::state::{Group, Thread, User};

/// What rules compare with when a number has no name: a text, not an absence, as in libs.
const NO_NAME: &[u8] = b"<NA>";
/// Name of uid 0 where no table tells it.
pub(super) const ROOT: &[u8] = b"root";
/// Home directory of uid 0 where no table tells it.
const ROOT_HOME: &[u8] = b"/root";

pub(super) fn extract<'e>(context: &'e EventContext<'_>, field: UserField) -> Extracted<'e> {
    let Some(thread) = context.thread else { return Extracted::Absent };
    let uid = thread.uid;
    let login = Some(thread.loginuid).filter(|&uid| uid != u32::MAX);
    match field {
        UserField::UserUid => when(uid, |uid| unsigned(u64::from(uid))),
        UserField::UserName => name(context, thread, uid),
        UserField::UserHomedir => borrowed(match (user(context, thread, uid), uid) {
            (Some(user), _) => &user.home,
            (None, Some(0)) => ROOT_HOME,
            (None, _) => NO_NAME,
        }),
        UserField::UserShell => borrowed(user(context, thread, uid).map_or(NO_NAME, |user| &user.shell)),
        UserField::UserLoginuid => signed(login.map_or(-1, i64::from)),
        UserField::UserLoginname => name(context, thread, login),
        UserField::GroupGid => when(thread.gid, |gid| unsigned(u64::from(gid))),
        UserField::GroupName => borrowed(match (group(context, thread), thread.gid) {
            (Some(group), _) => &group.name,
            (None, Some(0)) => ROOT,
            (None, _) => NO_NAME,
        }),
    }
}

fn user<'e>(context: &'e EventContext<'_>, thread: &Thread, uid: Option<u32>) -> Option<&'e User> {
    context.state.user(&thread.container_id, uid?)
}

fn group<'e>(context: &'e EventContext<'_>, thread: &Thread) -> Option<&'e Group> {
    context.state.group(&thread.container_id, thread.gid?)
}

fn name<'e>(context: &'e EventContext<'_>, thread: &Thread, uid: Option<u32>) -> Extracted<'e> {
    borrowed(match (user(context, thread, uid), uid) {
        (Some(user), _) => &user.name,
        (None, Some(0)) => ROOT,
        (None, _) => NO_NAME,
    })
}

#[cfg(test)]
mod tests {
    use casebook_formats::tables::ppme;

    use super::super::sample::{Sample, state};

    #[test]
    fn names_by_the_tables_of_the_capture() {
        let mut event = Sample::new(ppme::PPME_SYSCALL_CLOSE_X).unknown(2);
        event.tid = 200;
        let fields = [
            "user.uid",
            "user.name",
            "user.homedir",
            "user.shell",
            "user.loginuid",
            "user.loginname",
            "group.gid",
            "group.name",
        ];
        let texts = event.on(&mut state(), &fields);
        let wanted = ["1000", "alice", "/home/alice", "/bin/sh", "1001", "<NA>", "1000", "staff"];
        assert_eq!(texts.into_iter().flatten().collect::<Vec<_>>(), wanted, "1001 has no name: a text, not an absence");
        // Thread 100 is root's, whom no table of the capture lists, and has no login.
        event.tid = 100;
        let texts = event.on(&mut state(), &fields);
        let wanted = ["0", "root", "/root", "<NA>", "-1", "<NA>", "0", "root"];
        assert_eq!(texts.into_iter().flatten().collect::<Vec<_>>(), wanted);
    }
}
