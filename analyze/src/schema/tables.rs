//! The tables, declared. A row a column: name, type, unit, source, meaning.

use super::Kind::{Bool, Int, Text, Time, Uint, Word};
use super::Source::{Audit, Field, Made};
use super::{Column, Table};

macro_rules! columns {
    ($($name:ident $kind:ident $unit:literal $source:ident($from:literal) $meaning:literal;)*) => {
        &[$(Column { name: stringify!($name), kind: $kind, unit: $unit, source: $source($from), meaning: $meaning }),*]
    };
}

/// All tables.
pub const TABLES: &[Table] = &[
    Table {
        name: "captures",
        about: "One row a capture or audit log.",
        columns: columns! {
            digest Text "" Made("bytes of the file") "SHA-256 of the file; null for standard input";
            format Word "" Made("bytes of the file") "`scap`, `scap.gz`, `scap.zst`, `audit log`; null for standard input";
            first Time "" Made("event header") "the first event";
            last Time "" Made("event header") "the last event";
            events Uint "" Made("count") "events replayed, those included that only feed the state";
            processes Uint "" Made("count") "rows of `processes`";
            alerts Uint "" Made("count") "rows of `alerts`";
            dropped Uint "" Made("ledger") "events known to be lost by the recorder or its kernel side (markers where no number is known)";
            complete Bool "" Made("reader") "read to its end, and nothing in the file was cut off or damaged";
            os Word "" Made("format") "operating system of the recorded machine: always `linux` for captures of calls, null for logs";
            cpus Uint "" Made("machine info") "processors of the recorded machine";
            boot Time "" Made("machine info") "when the machine was started, where the capture tells it";
            note Text "" Made("reader") "why it was read no further, or what was damaged";
        },
    },
    Table {
        name: "events",
        about: "One row an event that rules see, in the order of the capture.",
        columns: columns! {
            num Uint "" Field("evt.num") "number of the event, as in all our tools and in Falco";
            time Time "" Made("event header") "when it happened (the end of a call)";
            type Word "" Field("evt.type") "name of the event: the system call";
            category Word "" Field("evt.category") "coarse class: file, net, process, memory, …";
            tid Int "" Made("event header") "thread, in the host's numbers; null for events of no thread";
            pid Int "" Field("proc.pid") "process";
            upid Uint "" Made("process lives") "process life, see `processes`";
            proc_name Word "" Field("proc.name") "process name (comm)";
            proc_exepath Word "" Field("proc.exepath") "executable";
            parent_name Word "" Field("proc.pname") "name of the parent process";
            user_name Word "" Field("user.name") "user";
            container_id Word "" Field("container.id") "container, 12 characters; `host` outside of containers";
            fd_num Int "" Field("fd.num") "descriptor";
            fd_type Word "" Field("fd.type") "kind of descriptor: file, directory, ipv4, unix, pipe, …";
            fd_name Word "" Field("fd.name") "path of the file or tuple of the socket";
            res Int "" Field("evt.rawres") "return value; errors are negative errno";
            latency Int "ns" Field("evt.latency") "duration of the call, where the capture holds both halves";
            size Uint "bytes" Field("evt.buflen") "bytes moved by an I/O event";
            args Text "" Field("evt.args") "all parameters as `name=value`";
        },
    },
    Table {
        name: "processes",
        about: "One row a process life: from the clone (or the start of the capture) to the exit. Facts are those at the end of the life, or of the capture.",
        columns: columns! {
            upid Uint "" Made("process lives") "key: number of the capture << 40 | number of the life, from 1";
            parent_upid Uint "" Made("process lives") "life of the parent at the start";
            pid Int "" Made("process lives") "process id on the host";
            ppid Int "" Made("process lives") "process id of the parent at the start";
            start Time "" Made("clone event") "when it was cloned; null where that was before the capture and not recorded";
            end Time "" Made("procexit event") "when its last thread exited; null where that is not in the capture";
            exit_code Int "" Made("procexit event") "exit code; null while it lives and where a signal ended it";
            exit_signal Int "" Made("procexit event") "number of the signal that ended it";
            name Word "" Field("proc.name") "name (comm)";
            exe Word "" Field("proc.exe") "argv[0]";
            exepath Word "" Field("proc.exepath") "executable";
            cmdline Text "" Field("proc.cmdline") "name and arguments";
            cwd Word "" Field("proc.cwd") "working directory";
            tty Uint "" Field("proc.tty") "controlling terminal, 0 for none";
            user_uid Uint "" Field("user.uid") "user id";
            user_name Word "" Field("user.name") "user";
            loginuid Int "" Field("user.loginuid") "audit login uid; -1 unset";
            login_name Word "" Field("user.loginname") "who logged in";
            container_id Word "" Field("container.id") "container; `host` outside of containers";
            container_name Word "" Field("container.name") "name of the container";
            image Word "" Field("container.image") "image of the container";
            pod_name Word "" Field("k8s.pod.name") "pod";
            pod_namespace Word "" Field("k8s.ns.name") "namespace of the pod";
            sid Int "" Field("proc.sid") "session";
            vpid Int "" Field("proc.vpid") "process id inside its pid namespace";
            from_snapshot Bool "" Made("process lives") "it ran already when the capture (or its section) began";
            events Uint "" Made("count") "events of its threads";
            alerts Uint "" Made("count") "alerts on them";
            k8s_user_name Word "" Field("k8s.user.name") "user who asked the Kubernetes API for what it runs, from audit logs among the captures";
            k8s_user_via Word "" Field("k8s.user.via") "what that user asked for: exec, attach or debug";
            k8s_user_confidence Word "" Field("k8s.user.confidence") "how sure it is: high, medium or low";
            k8s_user_others Text "" Field("k8s.user.others") "other users whose requests fit as well, in brackets";
        },
    },
    Table {
        name: "execs",
        about: "One row an execve or execveat, failed ones too (their facts are those of the process that tried).",
        columns: columns! {
            num Uint "" Field("evt.num") "number of the event";
            time Time "" Made("event header") "when it returned";
            upid Uint "" Made("process lives") "process life";
            pid Int "" Field("proc.pid") "process";
            parent_upid Uint "" Made("process lives") "life of the parent at the start of the process";
            parent_name Word "" Field("proc.pname") "name of the parent";
            parent_cmdline Text "" Field("proc.pcmdline") "command line of the parent";
            name Word "" Field("proc.name") "name (comm)";
            exe Word "" Field("proc.exe") "argv[0]";
            exepath Word "" Field("proc.exepath") "executable";
            cmdline Text "" Field("proc.cmdline") "name and arguments";
            cwd Word "" Field("proc.cwd") "working directory";
            user_name Word "" Field("user.name") "user";
            user_uid Uint "" Field("user.uid") "user id";
            login_name Word "" Field("user.loginname") "who logged in";
            tty Uint "" Field("proc.tty") "controlling terminal, 0 for none";
            container_id Word "" Field("container.id") "container; `host` outside of containers";
            is_exe_writable Bool "" Field("proc.is_exe_writable") "the executable could be written by its user";
            is_exe_upper_layer Bool "" Field("proc.is_exe_upper_layer") "the executable was new in the container (upper layer)";
            is_exe_from_memfd Bool "" Field("proc.is_exe_from_memfd") "the executable had no file (memfd)";
            result Word "" Field("evt.res") "`SUCCESS` or the errno";
        },
    },
    Table {
        name: "files",
        about: "One row a process life and path.",
        columns: columns! {
            upid Uint "" Made("process lives") "process life";
            proc_name Word "" Field("proc.name") "process name at the first use";
            container_id Word "" Field("container.id") "container of the process";
            path Word "" Made("fd.name, fs.path.*") "absolute path";
            opens Uint "" Made("count") "opens that succeeded";
            failed_opens Uint "" Made("count") "opens that failed";
            created Uint "" Made("count") "opens that created the file, and directories, links and nodes made";
            reads Uint "" Made("count") "reads";
            writes Uint "" Made("count") "writes";
            bytes_read Uint "bytes" Made("return values") "bytes read";
            bytes_written Uint "bytes" Made("return values") "bytes written";
            renames Uint "" Made("count") "renames from or to this path";
            unlinks Uint "" Made("count") "removals";
            chmods Uint "" Made("count") "changes of mode or owner";
            mode Uint "" Made("chmod events") "mode that the last chmod set";
            first Time "" Made("event header") "first of these events";
            last Time "" Made("event header") "last of these events";
        },
    },
    Table {
        name: "network",
        about: "One row a process life and connection (tuple and protocol), listening socket or Unix socket path.",
        columns: columns! {
            upid Uint "" Made("process lives") "process life";
            proc_name Word "" Field("proc.name") "process name at the first use";
            container_id Word "" Field("container.id") "container of the process";
            protocol Word "" Made("fd.l4proto, fd.type") "tcp, udp, icmp, raw, unix; `ip` where the capture does not tell";
            role Word "" Made("fd.is_server") "`client`, `server` (accepted), `listener`; null unknown";
            client_ip Word "" Field("fd.cip") "client address";
            client_port Uint "" Field("fd.cport") "client port";
            server_ip Word "" Field("fd.sip") "server address";
            server_port Uint "" Field("fd.sport") "server port";
            path Word "" Made("fd.name") "path of a Unix socket";
            connects Uint "" Made("count") "connects and accepts that succeeded or are in progress";
            failed Uint "" Made("count") "connects and accepts that failed";
            bytes_out Uint "bytes" Made("return values") "bytes sent";
            bytes_in Uint "bytes" Made("return values") "bytes received";
            first Time "" Made("event header") "first of these events; null for sockets open before the capture that were not used";
            last Time "" Made("event header") "last of these events";
            dns_name Word "" Made("dns") "name for which an answer with the server's address was seen";
        },
    },
    Table {
        name: "dns",
        about: "One row a question or answer record in DNS messages whose bytes are in the capture.",
        columns: columns! {
            num Uint "" Field("evt.num") "number of the event";
            time Time "" Made("event header") "when";
            upid Uint "" Made("process lives") "process life";
            proc_name Word "" Field("proc.name") "process name";
            query Word "" Made("evt.buffer") "name asked for, without the final dot";
            type Word "" Made("evt.buffer") "A, AAAA, CNAME, TXT, …, or TYPEn";
            answer Word "" Made("evt.buffer") "address or name answered; error of the answer; null in a question";
            server_ip Word "" Field("fd.sip") "the server";
        },
    },
    Table {
        name: "containers",
        about: "One row a container that occurred.",
        columns: columns! {
            id Word "" Made("container events, cgroups") "12 characters";
            full_id Word "" Made("container events, cgroups") "complete id";
            name Word "" Made("container events") "name";
            type Word "" Made("container events, cgroups") "engine: docker, containerd, cri-o, podman, …";
            image Word "" Made("container events") "image as given to the engine";
            image_repository Word "" Made("container events") "repository part";
            image_tag Word "" Made("container events") "tag part";
            image_digest Word "" Made("container events") "digest part";
            privileged Bool "" Made("container events") "privileged; null unknown";
            pod_name Word "" Made("labels") "pod";
            pod_namespace Word "" Made("labels") "namespace of the pod";
            pod_uid Word "" Made("labels") "uid of the pod";
            labels Text "" Made("container events") "JSON object";
            first Time "" Made("event header") "first event in or about it";
            last Time "" Made("event header") "last event in or about it";
            events Uint "" Made("count") "events of its processes";
        },
    },
    Table {
        name: "users",
        about: "One row a user or group: of the host, and of each container.",
        columns: columns! {
            container_id Word "" Made("user lists") "container whose list it is of; `host` for the host's";
            kind Word "" Made("user lists") "`user` or `group`";
            id Uint "" Made("user lists") "number";
            name Word "" Made("user lists") "name";
            home Word "" Made("user lists") "home directory";
            shell Word "" Made("user lists") "login shell";
        },
    },
    Table {
        name: "alerts",
        about: "One row an alert, where rules were asked for.",
        columns: columns! {
            num Uint "" Field("evt.num") "number of the event";
            time Time "" Made("event header") "when";
            rule Word "" Made("rule") "name of the rule";
            priority Word "" Made("rule") "Emergency, Alert, Critical, Error, Warning, Notice, Informational, Debug";
            severity Int "" Made("rule") "the priority as a number: 0 emergency … 7 debug";
            source Word "" Made("rule") "syscall, k8s_audit";
            tags Word "" Made("rule") "tags, joined by commas";
            output Text "" Made("rule") "the line that Falco prints";
            upid Uint "" Made("process lives") "process life";
            proc_name Word "" Field("proc.name") "process name";
            container_id Word "" Field("container.id") "container; `host` outside of containers";
            pod_name Word "" Field("k8s.pod.name") "pod";
            pod_namespace Word "" Field("k8s.ns.name") "namespace of the pod";
            fields Text "" Made("rule") "output fields, JSON object";
            absent Text "" Made("rule") "fields that the capture does not tell and on which the verdict rests, joined by commas";
        },
    },
    Table {
        name: "k8s_audit",
        about: "One row an event of a Kubernetes audit log.",
        columns: columns! {
            num Uint "" Field("evt.num") "number of the event";
            time Time "" Made("stageTimestamp") "when";
            audit_id Text "" Audit("ka.auditid") "audit id: the same for all stages of a request";
            stage Word "" Audit("ka.stage") "RequestReceived, ResponseComplete, …";
            verb Word "" Audit("ka.verb") "verb";
            user Word "" Audit("ka.user.name") "who asked";
            groups Word "" Audit("ka.user.groups") "groups of that user";
            source_ips Word "" Made("sourceIPs") "addresses of the client, joined by commas";
            user_agent Word "" Audit("ka.useragent") "program of the client";
            resource Word "" Audit("ka.target.resource") "kind of the object";
            subresource Word "" Audit("ka.target.subresource") "part of the object: exec, log, status, …";
            namespace Word "" Audit("ka.target.namespace") "namespace of the object";
            name Word "" Audit("ka.target.name") "name of the object";
            uri Text "" Audit("ka.uri") "request";
            response_code Word "" Audit("ka.response.code") "status code";
            reason Word "" Audit("ka.response.reason") "reason of the status";
        },
    },
    Table {
        name: "ledger",
        about: "One row a counter of anomalies that is not zero: what the captures could not show.",
        columns: columns! {
            counter Word "" Made("ledger") "name of the counter";
            severity Word "" Made("ledger") "info, error, data loss";
            origin Word "" Made("ledger") "who noticed: kernel, recorder, file, reader, state, rules";
            count Uint "" Made("ledger") "how often";
            meaning Text "" Made("ledger") "what it means";
        },
    },
    Table {
        name: "packets",
        about: "One row a packet of the pcap and pcapng files given with `--packets`, with the process that sent it, or else received it: the one whose connection has the same ends within 5 s. Where address translation lies between process and packet file (a container behind NAT, packets taken outside of it), the ends differ and nothing can be joined. To `network`: `JOIN network ON packets.upid = network.upid AND packets.client_ip = network.client_ip AND packets.client_port = network.client_port AND packets.server_ip = network.server_ip AND packets.server_port = network.server_port`.",
        columns: columns! {
            file Word "" Made("command line") "the packet file";
            number Uint "" Made("count") "number of the packet in its file, from 1";
            time Time "" Made("packet header") "when, by the clock of the packet file";
            protocol Word "" Made("packet") "tcp, udp, icmp, …";
            src_ip Word "" Made("packet") "source address";
            src_port Uint "" Made("packet") "source port";
            dst_ip Word "" Made("packet") "destination address";
            dst_port Uint "" Made("packet") "destination port";
            length Uint "bytes" Made("packet header") "length on the wire";
            to_server Bool "" Made("tuple") "the client sent it";
            client_ip Word "" Made("tuple") "client of the flow: of the connection, or the end that sent the first packet";
            client_port Uint "" Made("tuple") "its port";
            server_ip Word "" Made("tuple") "server of the flow";
            server_port Uint "" Made("tuple") "its port";
            upid Uint "" Made("tuple and time") "process life that owned the flow";
            proc_name Word "" Made("tuple and time") "name of that process";
            container_id Word "" Made("tuple and time") "container of that process";
        },
    },
];
