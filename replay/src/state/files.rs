//! Descriptor tables and who owns them.
//!
//! Threads of a process use its leader's table; a process made with `CLONE_FILES` shares its parent's until it
//! executes something; every other new process gets a copy, which costs nothing until one of the two changes.

use std::rc::Rc;

use casebook_formats::ledger::{Counter, Ledger};

use super::fd_table::own;
use super::flags::{self, CLONE_FILES};
use super::limits::{MAX_FDS, MAX_FDS_TOGETHER};
use super::table::{TableId, ThreadId};
use super::{Fd, FdTable, SharedTable, State, Thread};

impl State {
    /// Where the descriptors of a thread are: its own table, or its leader's.
    #[inline]
    pub(crate) fn files_of(&self, thread: &Thread) -> Option<TableId> {
        if thread.flags & flags::CLONE_FILES == 0 || thread.files.is_some() {
            thread.files
        } else {
            self.main_thread_of(thread)?.files
        }
    }

    /// The table that a thread's calls change; made when it has none yet. `None` when its leader is unknown.
    #[inline]
    pub(crate) fn table_for(&mut self, id: ThreadId) -> Option<TableId> {
        match self.threads.get(id.0)?.files {
            None => self.table_of_leader(id),
            own => own,
        }
    }

    fn table_of_leader(&mut self, id: ThreadId) -> Option<TableId> {
        let thread = self.threads.get(id.0)?;
        if let Some(table) = self.files_of(thread) {
            return Some(table);
        }
        let owner = if thread.flags & CLONE_FILES == 0 { id } else { self.main_id_of(id)? };
        let table = self.new_table(Rc::default());
        self.threads.get_mut(owner.0)?.files = Some(table);
        Some(table)
    }

    pub(crate) fn new_table(&mut self, table: Rc<FdTable>) -> TableId {
        self.open_fds += table.len();
        TableId(self.tables.insert(SharedTable { table, owners: 1 }))
    }

    pub(crate) fn release_table(&mut self, id: TableId) {
        let Some(entry) = self.tables.get_mut(id.0) else { return };
        entry.owners -= 1;
        if entry.owners == 0
            && let Some(gone) = self.tables.remove(id.0)
        {
            self.open_fds -= gone.table.len();
        }
    }

    /// A copy of a thread's descriptors for a new process; costs nothing until one of the two changes.
    pub(crate) fn copy_of_table(&mut self, of: ThreadId, ledger: &mut Ledger) -> Option<TableId> {
        let table = self.threads.get(of.0).and_then(|thread| self.files_of(thread))?;
        let contents = Rc::clone(&self.tables.get(table.0)?.table);
        if self.open_fds + contents.len() > MAX_FDS_TOGETHER {
            ledger.count(Counter::StateLimit);
            return None;
        }
        Some(self.new_table(contents))
    }

    /// The very table of a thread, for a process that shares it.
    pub(crate) fn share_of_table(&mut self, of: ThreadId) -> Option<TableId> {
        let table = self.table_for(of)?;
        self.tables.get_mut(table.0)?.owners += 1;
        Some(table)
    }

    /// Puts a record under a number, unless the table is full.
    #[inline]
    pub(crate) fn put_fd(&mut self, table: TableId, number: i64, fd: Rc<Fd>, ledger: &mut Ledger) -> bool {
        let Some(entry) = self.tables.get_mut(table.0) else { return false };
        let is_full = entry.table.len() >= MAX_FDS || self.open_fds >= MAX_FDS_TOGETHER;
        if is_full && entry.table.get(number).is_none() {
            ledger.count(Counter::StateLimit);
            return false;
        }
        let Some(contents) = own(&mut entry.table) else { return false };
        self.open_fds += usize::from(contents.insert(number, fd));
        true
    }

    /// A descriptor's record for changing it, but for what an exec does to it ([`State::set_cloexec`]); it counts as changed.
    pub(crate) fn change_fd(&mut self, table: TableId, number: i64) -> Option<&mut Fd> {
        self.changes += 1;
        let version = self.changes;
        let fd = Rc::make_mut(&mut self.tables.get_mut(table.0)?.table).get_mut(number)?;
        fd.version = version;
        Some(fd)
    }

    /// Says whether an exec closes a descriptor; it counts as changed.
    pub(crate) fn set_cloexec(&mut self, table: TableId, number: i64, cloexec: bool) {
        let Some(entry) = self.tables.get_mut(table.0) else { return };
        if let Some(fd) = own(&mut entry.table).and_then(|table| table.set_cloexec(number, cloexec)) {
            self.changes += 1;
            fd.version = self.changes;
        }
    }

    /// Gives a process that shares its table with another one a copy of its own, as an exec does.
    pub(crate) fn unshare_table(&mut self, id: ThreadId) {
        let Some(table) = self.threads.get(id.0).and_then(|thread| thread.files) else { return };
        let Some(entry) = self.tables.get_mut(table.0).filter(|entry| entry.owners > 1) else { return };
        entry.owners -= 1;
        let contents = Rc::clone(&entry.table);
        // An exec cannot be refused its descriptors: the bound is passed by what was shared before.
        let own = self.new_table(contents);
        if let Some(thread) = self.threads.get_mut(id.0) {
            thread.files = Some(own);
        }
    }

    /// Gives a thread a table of its own, as it asked for: whoever it shared one with, its process or another one, goes on
    /// with the old one.
    pub(crate) fn leave_shared_table(&mut self, id: ThreadId, ledger: &mut Ledger) {
        let Some(thread) = self.threads.get(id.0) else { return };
        if thread.files.is_some() {
            // A leader's threads use its table without owning it: they stay with what becomes its own.
            self.unshare_table(id);
        } else if let Some(own) = self.copy_of_table(id, ledger)
            && let Some(thread) = self.threads.get_mut(id.0)
        {
            thread.files = Some(own);
        }
    }

    /// Takes out of a table what an exec closes.
    pub(crate) fn drop_closed_on_exec(&mut self, table: TableId) {
        if let Some(entry) = self.tables.get_mut(table.0)
            && entry.table.has_closed_on_exec()
        {
            self.open_fds -= Rc::make_mut(&mut entry.table).close_on_exec();
        }
    }

    /// Takes one descriptor out of a table.
    pub(crate) fn drop_fd(&mut self, table: TableId, number: i64) {
        let Some(entry) = self.tables.get_mut(table.0) else { return };
        if entry.table.get(number).is_some()
            && let Some(contents) = own(&mut entry.table)
            && contents.remove(number).is_some()
        {
            self.open_fds -= 1;
        }
    }
}
