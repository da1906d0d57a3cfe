#include "master/settings_schema.h"

#include <algorithm>
#include <array>

namespace dormouse::master {
namespace {

using Type = SettingType;
using V = SettingValue;

constexpr uint64_t kSecond = 1000;
constexpr uint64_t kMinute = 60 * kSecond;
constexpr uint64_t kHour = 60 * kMinute;
constexpr uint64_t kDay = 24 * kHour;
// The den's timer wheel spans 1023 ticks of a second; no NAT keeps a silent connection for longer.
constexpr uint64_t kKeepaliveMax = 15 * kMinute;
constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;
constexpr uint64_t kPathMax = 4095;  // PATH_MAX without its end

uint32_t u32(const V& value) { return uint32_t(value.number); }

constexpr std::array kSections = {
    SettingSection{"server", "The server as a whole, and whom its processes run as."},
    SettingSection{"listen", "Where clients connect."},
    SettingSection{"tls",
                   "The default certificate. Certificates for further server names are "
                   "[[tls.sni]] tables, each with names, certificate and key."},
    SettingSection{
        "admission",
        "How fast new connections are let in (docs/ebpf.md). What is over the rate waits "
        "in its client's TCP; connections that are in are never touched."},
    SettingSection{"login", "Before authentication."},
    SettingSection{"auth", "Passwords and users."},
    SettingSection{"den", "Every authenticated connection, awake or parked."},
    SettingSection{"tracker", "Which worker serves whom, and limits per user and address."},
    SettingSection{"worker", "IMAP commands and the mail store."},
    SettingSection{"watch", "How changes of parked mailboxes are noticed."},
    SettingSection{
        "pressure",
        "When the server bends under load, and how far (docs/pressure.md). Above the first "
        "of two thresholds a reading says busy, above the second critical, or pressed "
        "where that is the worst that it may say."},
};

// The uids of the roles: between 60706 and 61183 neither adduser nor systemd hands any out.
constexpr std::array kSchema = {
    SettingKey{"server.name", Type::kText, "\"\"", 0, 255, "", "", "",
               "The name in greetings and logs; empty: the host's name.",
               [](Settings& s, const V& v) { s.server_name = v.text; }},
    SettingKey{"server.base_dir", Type::kPath, "\"/var/lib/dormouse\"", 1, kPathMax, "", "", "",
               "The server's own folder. Holds empty/, the root directory of sandboxed roles.",
               [](Settings& s, const V& v) { s.base_dir = v.text; }},
    SettingKey{"server.mail_root", Type::kPath, "\"/srv/mail\"", 1, kPathMax, "", "",
               "watch.mail_root",
               "A folder on the file system that holds the mail: what fanotify marks.",
               [](Settings& s, const V& v) {
                 s.mail_root = v.text;
                 s.wire.mutable_watch()->set_mail_root(v.text);
               }},
    SettingKey{"server.log_level", Type::kChoice, "\"info\"", 0, 0, "", "debug info warning error",
               "log_level", "The least level that is logged.",
               [](Settings& s, const V& v) { s.wire.set_log_level(v.text); }},
    SettingKey{
        "server.wake_scheduling", Type::kChoice, "\"realtime\"", 0, 0, "", "realtime weight fair",
        "wake_scheduling",
        "How what wakes sleepers gets a CPU that others want too: den and watch in real time "
        "while that is less than half of one; with nine times the others' weight; like them.",
        [](Settings& s, const V& v) { s.wire.set_wake_scheduling(v.text); }},
    SettingKey{"server.drain_grace", Type::kDuration, "\"10s\"", 100, 10 * kMinute, "ms", "", "",
               "How long roles may say goodbye when the server stops.",
               [](Settings& s, const V& v) { s.drain_grace_ms = v.number; }},
    SettingKey{"server.login_user", Type::kAccount, "60801", 1, UINT32_MAX - 1, "", "", "",
               "Whom login runs as, when the server is started by root.",
               [](Settings& s, const V& v) { s.login_user = v.account; }},
    SettingKey{"server.auth_user", Type::kAccount, "60802", 1, UINT32_MAX - 1, "", "", "",
               "Whom auth runs as.", [](Settings& s, const V& v) { s.auth_user = v.account; }},
    SettingKey{"server.den_user", Type::kAccount, "60803", 1, UINT32_MAX - 1, "", "", "",
               "Whom the dens run as.", [](Settings& s, const V& v) { s.den_user = v.account; }},
    SettingKey{"server.tracker_user", Type::kAccount, "60804", 1, UINT32_MAX - 1, "", "", "",
               "Whom the tracker runs as.",
               [](Settings& s, const V& v) { s.tracker_user = v.account; }},
    SettingKey{"server.watch_user", Type::kAccount, "60805", 1, UINT32_MAX - 1, "", "", "",
               "Whom the watch runs as.",
               [](Settings& s, const V& v) { s.watch_user = v.account; }},

    SettingKey{"listen.imap", Type::kAddresses, "[\"127.0.0.1:10143\"]", 0, 16, "", "", "",
               "Addresses for IMAP, with STARTTLS where there is a certificate.",
               [](Settings& s, const V& v) { s.imap = v.addresses; }},
    SettingKey{"listen.imaps", Type::kAddresses, "[\"127.0.0.1:10993\"]", 0, 16, "", "", "",
               "Addresses for IMAP over TLS from the first byte. Need a certificate.",
               [](Settings& s, const V& v) { s.imaps = v.addresses; }},
    SettingKey{"listen.backlog", Type::kCount, "32768", 1, 65535, "", "", "",
               "Connections the kernel holds until they are accepted, for each login process; "
               "net.core.somaxconn bounds it.",
               [](Settings& s, const V& v) { s.listen_backlog = u32(v); }},

    SettingKey{"tls.certificate", Type::kPath, "\"\"", 0, kPathMax, "", "", "tls.certificate_names",
               "PEM: the chain, leaf first. Empty: no TLS.",
               [](Settings& s, const V& v) { s.certificates.at(0).certificate = v.text; }},
    SettingKey{"tls.key", Type::kPath, "\"\"", 0, kPathMax, "", "", "", "PEM: its private key.",
               [](Settings& s, const V& v) { s.certificates.at(0).key = v.text; }},
    SettingKey{"tls.minimum_version", Type::kChoice, "\"1.2\"", 0, 0, "", "1.2 1.3",
               "tls.minimum_version", "The least TLS version.",
               [](Settings& s, const V& v) { s.wire.mutable_tls()->set_minimum_version(v.text); }},

    SettingKey{"admission.mode", Type::kChoice, "\"auto\"", 0, 0, "", "auto bpf accept off", "",
               "bpf: the kernel drops what is over the rate; accept: login holds it; "
               "auto: the first of the two that works here.",
               [](Settings& s, const V& v) { s.admission_mode = v.text; }},
    SettingKey{"admission.rate", Type::kCount, "0", 0, 1'000'000, "", "", "admission.rate",
               "Connections a second, over all listeners; 0: 2,000 for each login process.",
               [](Settings& s, const V& v) { s.wire.mutable_admission()->set_rate(u32(v)); }},
    SettingKey{
        "admission.burst", Type::kCount, "0", 0, 1'000'000, "", "", "admission.burst",
        "Connections at once after a quiet time; 0: as many as the rate lets in in 5 seconds.",
        [](Settings& s, const V& v) { s.wire.mutable_admission()->set_burst(u32(v)); }},
    SettingKey{
        "admission.prefix_share", Type::kCount, "10", 1, 100, "", "", "admission.prefix_percent",
        "Of rate and burst, what one network (IPv4 /24, IPv6 /48) gets before all others get "
        "theirs. It may have more when nobody else wants it.",
        [](Settings& s, const V& v) { s.wire.mutable_admission()->set_prefix_percent(u32(v)); }},

    SettingKey{"login.processes", Type::kCount, "0", 0, 256, "", "", "login.processes",
               "Login processes; 0: one per CPU.",
               [](Settings& s, const V& v) { s.wire.mutable_login()->set_processes(u32(v)); }},
    SettingKey{"login.steering", Type::kChoice, "\"auto\"", 0, 0, "", "auto bpf hash shared", "",
               "Which login process a connection goes to. bpf: the one with the shortest queue, an "
               "address to the same one while it is well; hash: by the address; shared: whichever "
               "comes first; auto: the first of these that works here.",
               [](Settings& s, const V& v) { s.steering = v.text; }},
    SettingKey{
        "login.max_connections", Type::kCount, "2000", 1, 100'000, "", "", "login.max_connections",
        "Connections not yet authenticated, per process.",
        [](Settings& s, const V& v) { s.wire.mutable_login()->set_max_connections(u32(v)); }},
    SettingKey{"login.max_connections_per_address", Type::kCount, "100", 1, 100'000, "", "",
               "login.max_connections_per_address",
               "Connections not yet authenticated, per process and client address.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_login()->set_max_connections_per_address(u32(v));
               }},
    SettingKey{"login.timeout", Type::kDuration, "\"3min\"", kSecond, kHour, "ms", "",
               "login.timeout_ms", "Time to authenticate, in all.",
               [](Settings& s, const V& v) { s.wire.mutable_login()->set_timeout_ms(u32(v)); }},
    SettingKey{"login.max_attempts", Type::kCount, "5", 1, 100, "", "", "login.max_attempts",
               "Failed attempts per connection.",
               [](Settings& s, const V& v) { s.wire.mutable_login()->set_max_attempts(u32(v)); }},
    SettingKey{
        "login.failure_delay", Type::kDuration, "\"2s\"", 0, kMinute, "ms", "",
        "login.failure_delay_ms", "Wait after the first failed attempt; doubles each time.",
        [](Settings& s, const V& v) { s.wire.mutable_login()->set_failure_delay_ms(u32(v)); }},
    SettingKey{"login.greeting", Type::kText, "\"Dormouse ready.\"", 1, 200, "", "",
               "login.greeting", "The greeting's text.",
               [](Settings& s, const V& v) { s.wire.mutable_login()->set_greeting(v.text); }},
    SettingKey{
        "login.plaintext_auth", Type::kFlag, "false", 0, 0, "", "", "login.plaintext_auth",
        "Whether passwords are taken without TLS off loopback.",
        [](Settings& s, const V& v) { s.wire.mutable_login()->set_plaintext_auth(v.number != 0); }},

    SettingKey{"auth.passwd_file", Type::kPath, "\"/etc/dormouse/passwd\"", 1, kPathMax, "", "",
               "auth.passwd_file", "Users: user:{SCHEME}hash:uid:gid:gecos:home:shell:extra.",
               [](Settings& s, const V& v) { s.wire.mutable_auth()->set_passwd_file(v.text); }},
    SettingKey{"auth.cache_entries", Type::kCount, "10000", 0, 10'000'000, "", "",
               "auth.cache_entries", "Successful verifications remembered; 0: none.",
               [](Settings& s, const V& v) { s.wire.mutable_auth()->set_cache_entries(u32(v)); }},
    SettingKey{"auth.cache_ttl", Type::kDuration, "\"5min\"", kSecond, kDay, "ms", "",
               "auth.cache_ttl_ms", "How long each.",
               [](Settings& s, const V& v) { s.wire.mutable_auth()->set_cache_ttl_ms(u32(v)); }},
    SettingKey{"auth.hash_threads", Type::kCount, "2", 1, 64, "", "", "auth.hash_threads",
               "Threads that hash passwords.",
               [](Settings& s, const V& v) { s.wire.mutable_auth()->set_hash_threads(u32(v)); }},
    SettingKey{"auth.mechanisms", Type::kChoices, "[\"PLAIN\", \"LOGIN\", \"SCRAM-SHA-256\"]", 1, 3,
               "", "PLAIN LOGIN SCRAM-SHA-256", "auth.mechanisms", "SASL mechanisms offered.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_auth()->clear_mechanisms();
                 for (const auto& name : v.list) s.wire.mutable_auth()->add_mechanisms(name);
               }},
    SettingKey{"auth.default_user", Type::kAccount, "0", 0, UINT32_MAX - 1, "", "",
               "auth.default_uid auth.default_gid",
               "Whose mail it is, where the passwd-file gives no uid. 0: as root nobody's (such a "
               "user is refused), else the server's own user.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_auth()->set_default_uid(v.account.uid);
                 s.wire.mutable_auth()->set_default_gid(v.account.gid);
               }},
    SettingKey{"auth.default_home", Type::kPath, "\"/srv/mail/%u\"", 1, kPathMax, "", "",
               "auth.default_home", "The home where the passwd-file gives none; %u is the user.",
               [](Settings& s, const V& v) { s.wire.mutable_auth()->set_default_home(v.text); }},
    SettingKey{
        "auth.default_scheme", Type::kChoice, "\"CRYPT\"", 0, 0, "",
        "PLAIN CRYPT SHA512-CRYPT SHA256-CRYPT MD5-CRYPT BLF-CRYPT YESCRYPT ARGON2ID ARGON2I "
        "SCRAM-SHA-256",
        "auth.default_scheme", "The scheme of a hash without {SCHEME}.",
        [](Settings& s, const V& v) { s.wire.mutable_auth()->set_default_scheme(v.text); }},

    SettingKey{"den.sessions", Type::kCount, "10000", 1, 4'000'000, "", "", "den.shards",
               "Connections held, awake and parked together. Decides the number of shards.",
               [](Settings& s, const V& v) { s.sessions = v.number; }},
    SettingKey{
        "den.sockets_per_shard", Type::kCount, "0", 0, 1'000'000, "", "", "den.sockets_per_shard",
        "At most; 0: what the limit of open files allows.",
        [](Settings& s, const V& v) { s.wire.mutable_den()->set_sockets_per_shard(u32(v)); }},
    SettingKey{
        "den.park_after", Type::kDuration, "\"10min\"", 0, kHour, "ms", "",
        "den.park_after_ms worker.park_after_ms",
        "A session in IDLE that has been quiet for so long parks, whatever the park policy says "
        "(docs/tuning.md), which is mostly sooner; 0: the policy alone decides.",
        [](Settings& s, const V& v) {
          s.wire.mutable_den()->set_park_after_ms(u32(v));
          s.wire.mutable_worker()->set_park_after_ms(u32(v));
        }},
    SettingKey{"den.park_quiet", Type::kDuration, "\"10min\"", 0, kDay, "ms", "",
               "worker.park_quiet_ms", "The same for a session that is not in IDLE.",
               [](Settings& s, const V& v) { s.wire.mutable_worker()->set_park_quiet_ms(u32(v)); }},
    SettingKey{"den.keepalive", Type::kDuration, "\"2min\"", kSecond, kKeepaliveMax, "ms", "",
               "den.keepalive_ms", "Between two \"* OK Still here\" of an idle session.",
               [](Settings& s, const V& v) { s.wire.mutable_den()->set_keepalive_ms(u32(v)); }},
    SettingKey{"den.coalesce", Type::kDuration, "\"100ms\"", 0, kMinute, "ms", "",
               "den.coalesce_ms",
               "A sleeper is told of changes at most once in this time: the first at once, what "
               "follows together.",
               [](Settings& s, const V& v) { s.wire.mutable_den()->set_coalesce_ms(u32(v)); }},
    SettingKey{
        "den.slab_bytes_per_session", Type::kSize, "\"1KiB\"", 256, 64 * kKiB, "bytes", "",
        "den.slab_bytes_per_session",
        "Room for parked records, on average. Memory is taken only where records lie.",
        [](Settings& s, const V& v) { s.wire.mutable_den()->set_slab_bytes_per_session(u32(v)); }},

    SettingKey{
        "tracker.policy", Type::kChoice, "\"shared\"", 0, 0, "",
        "shared per-user per-uid prefer-user", "tracker.policy",
        "Who may share a worker: anybody; one user's sessions only; one uid's only; anybody, "
        "but a user's sessions together where possible.",
        [](Settings& s, const V& v) { s.wire.mutable_tracker()->set_policy(v.text); }},
    SettingKey{"tracker.max_workers", Type::kCount, "32", 1, 10'000, "", "", "tracker.max_workers",
               "Workers at most.",
               [](Settings& s, const V& v) { s.wire.mutable_tracker()->set_max_workers(u32(v)); }},
    SettingKey{"tracker.min_workers", Type::kCount, "1", 0, 1000, "", "", "tracker.min_workers",
               "Workers kept though empty (policy shared).",
               [](Settings& s, const V& v) { s.wire.mutable_tracker()->set_min_workers(u32(v)); }},
    SettingKey{
        "tracker.sessions_per_worker", Type::kCount, "500", 1, 100'000, "", "",
        "tracker.sessions_per_worker",
        "Awake sessions of one worker; an eighth of them is left to sleepers that speak.",
        [](Settings& s, const V& v) { s.wire.mutable_tracker()->set_sessions_per_worker(u32(v)); }},
    SettingKey{
        "tracker.sessions_per_user", Type::kCount, "100", 0, 1'000'000, "", "",
        "tracker.sessions_per_user", "Sessions of one user, parked ones too; 0: no limit.",
        [](Settings& s, const V& v) { s.wire.mutable_tracker()->set_sessions_per_user(u32(v)); }},
    SettingKey{"tracker.sessions_per_address", Type::kCount, "0", 0, 10'000'000, "", "",
               "tracker.sessions_per_address",
               "Sessions from one client address; 0: no limit (a provider's NAT is one address).",
               [](Settings& s, const V& v) {
                 s.wire.mutable_tracker()->set_sessions_per_address(u32(v));
               }},
    SettingKey{
        "tracker.worker_idle", Type::kDuration, "\"1min\"", kSecond, kDay, "ms", "",
        "tracker.worker_idle_ms", "How long a worker beyond min_workers stays empty.",
        [](Settings& s, const V& v) { s.wire.mutable_tracker()->set_worker_idle_ms(u32(v)); }},

    SettingKey{
        "worker.command_line_bytes", Type::kSize, "\"64KiB\"", 8 * kKiB, kMiB, "bytes", "",
        "worker.command_line_bytes", "The longest command, literals of APPEND apart.",
        [](Settings& s, const V& v) { s.wire.mutable_worker()->set_command_line_bytes(u32(v)); }},
    SettingKey{
        "worker.append_bytes", Type::kSize, "\"64MiB\"", kKiB, 2048 * kMiB, "bytes", "",
        "worker.append_bytes", "The largest message that APPEND takes.",
        [](Settings& s, const V& v) { s.wire.mutable_worker()->set_append_bytes(v.number); }},
    SettingKey{
        "worker.idle_timeout", Type::kDuration, "\"30min\"", 30 * kMinute, 7 * kDay, "ms", "",
        "worker.idle_timeout_ms",
        "A client silent for longer is logged out (RFC 3501 5.4: 30 minutes at the least).",
        [](Settings& s, const V& v) { s.wire.mutable_worker()->set_idle_timeout_ms(u32(v)); }},
    SettingKey{
        "worker.store_cache_users", Type::kCount, "1000", 1, 100'000, "", "",
        "worker.store_cache_users", "Mail stores a worker keeps open, three descriptors each.",
        [](Settings& s, const V& v) { s.wire.mutable_worker()->set_store_cache_users(u32(v)); }},

    SettingKey{"watch.backend", Type::kChoice, "\"auto\"", 0, 0, "",
               "auto fanotify inotify polling", "watch.backend",
               "auto takes the first that works, in this order.",
               [](Settings& s, const V& v) { s.wire.mutable_watch()->set_backend(v.text); }},
    SettingKey{"watch.polling", Type::kDuration, "\"5s\"", 100, kHour, "ms", "", "watch.polling_ms",
               "Between two looks, when polling.",
               [](Settings& s, const V& v) { s.wire.mutable_watch()->set_polling_ms(u32(v)); }},
    SettingKey{
        "watch.shared_store", Type::kChoice, "\"auto\"", 0, 0, "", "auto yes no",
        "watch.shared_store",
        "Whether other machines write to the mail store, which this one's kernel is not told "
        "of: it is polled then. auto: NFS, SMB, 9p, FUSE and the like.",
        [](Settings& s, const V& v) { s.wire.mutable_watch()->set_shared_store(v.text); }},
    SettingKey{
        "watch.notice_socket", Type::kPath, "\"\"", 0, 107, "", "", "",
        "The unix datagram socket for notices of changes; empty: notices in server.base_dir.",
        [](Settings& s, const V& v) { s.notice_socket = v.text; }},
    SettingKey{"watch.notice_access", Type::kChoice, "\"owner\"", 0, 0, "",
               "owner everybody nobody", "",
               "Who may send there: the server's own user (root), everybody on this machine, or "
               "nobody: then there is no such socket.",
               [](Settings& s, const V& v) { s.notice_access = v.text; }},
    SettingKey{"watch.notice_listen", Type::kAddresses, "[]", 0, 16, "", "", "",
               "Addresses (UDP) for notices of changes from other machines.",
               [](Settings& s, const V& v) { s.notice_listen = v.addresses; }},
    SettingKey{"watch.notice_key", Type::kPath, "\"\"", 0, 4095, "", "", "",
               "A file with the key that those machines share: 16 to 1,024 bytes.",
               [](Settings& s, const V& v) { s.notice_key_file = v.text; }},
    SettingKey{
        "watch.notice_window", Type::kDuration, "\"30s\"", kSecond, 10 * kMinute, "ms", "",
        "watch.notice_window_ms",
        "How old a notice from another machine may be; clocks must agree to this.",
        [](Settings& s, const V& v) { s.wire.mutable_watch()->set_notice_window_ms(u32(v)); }},

    SettingKey{
        "pressure.enabled", Type::kFlag, "true", 0, 0, "", "", "pressure.enabled",
        "Whether the server measures pressure and bends. false: it is always calm.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_enabled(v.number != 0); }},
    SettingKey{"pressure.memory_busy", Type::kCount, "80", 1, 100, "", "",
               "pressure.memory_busy_percent",
               "Percent. Memory in use that cannot be had back, of the limit of the server's "
               "cgroup, of one above it or of the machine, whichever is fuller.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_memory_busy_percent(u32(v));
               }},
    SettingKey{"pressure.memory_critical", Type::kCount, "95", 1, 100, "", "",
               "pressure.memory_critical_percent",
               "Percent. The second threshold of the same. Raises the level at once.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_memory_critical_percent(u32(v));
               }},
    SettingKey{"pressure.memory_stall_busy", Type::kCount, "10", 1, 100, "", "",
               "pressure.memory_stall_busy_percent",
               "Percent. Time in which something waited for memory (PSI memory, some).",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_memory_stall_busy_percent(u32(v));
               }},
    SettingKey{
        "pressure.memory_stall_critical", Type::kCount, "60", 1, 100, "", "",
        "pressure.memory_stall_critical_percent", "Percent. The second threshold of the same.",
        [](Settings& s, const V& v) {
          s.wire.mutable_pressure()->set_memory_stall_critical_percent(u32(v));
        }},
    SettingKey{"pressure.cpu_stall_busy", Type::kCount, "90", 1, 100, "", "",
               "pressure.cpu_stall_busy_percent",
               "Percent. Time in which something waited for a CPU (PSI cpu, some).",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_cpu_stall_busy_percent(u32(v));
               }},
    SettingKey{
        "pressure.cpu_stall_pressed", Type::kCount, "100", 1, 100, "", "",
        "pressure.cpu_stall_pressed_percent",
        "Percent. The second threshold of the same; 100: never, since nothing can be above it.",
        [](Settings& s, const V& v) {
          s.wire.mutable_pressure()->set_cpu_stall_pressed_percent(u32(v));
        }},
    SettingKey{"pressure.io_stall_busy", Type::kCount, "60", 1, 100, "", "",
               "pressure.io_stall_busy_percent",
               "Percent. Time in which everything waited for disks (PSI io, full).",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_io_stall_busy_percent(u32(v));
               }},
    SettingKey{"pressure.io_stall_pressed", Type::kCount, "100", 1, 100, "", "",
               "pressure.io_stall_pressed_percent", "Percent. The second threshold of the same.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_io_stall_pressed_percent(u32(v));
               }},
    SettingKey{"pressure.workers_busy", Type::kCount, "70", 1, 100, "", "",
               "pressure.workers_busy_percent",
               "Percent. Places at workers that are taken: sessions of max_workers x "
               "sessions_per_worker (policy shared), else workers in use of max_workers.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_workers_busy_percent(u32(v));
               }},
    SettingKey{"pressure.workers_pressed", Type::kCount, "95", 1, 100, "", "",
               "pressure.workers_pressed_percent", "Percent. The second threshold of the same.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_workers_pressed_percent(u32(v));
               }},
    SettingKey{
        "pressure.queue_busy", Type::kDuration, "\"200ms\"", 10, kMinute, "ms", "",
        "pressure.queue_busy_ms", "The longest that a client waits until a worker has its session.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_queue_busy_ms(u32(v)); }},
    SettingKey{
        "pressure.queue_critical", Type::kDuration, "\"5s\"", 10, kMinute, "ms", "",
        "pressure.queue_critical_ms", "The second threshold of the same.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_queue_critical_ms(u32(v)); }},
    SettingKey{
        "pressure.wake_goal", Type::kDuration, "\"10ms\"", 0, kMinute, "ms", "",
        "pressure.wake_goal_ms",
        "New connections are served so fast only that a sleeper who wakes meanwhile waits no "
        "longer for a worker. 0: as fast as they come.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_wake_goal_ms(u32(v)); }},
    SettingKey{
        "pressure.rise_after", Type::kDuration, "\"2s\"", 0, kMinute, "ms", "",
        "pressure.rise_after_ms",
        "How long a reading must be above a threshold to raise the level; memory raises it at "
        "once.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_rise_after_ms(u32(v)); }},
    SettingKey{
        "pressure.calm_after", Type::kDuration, "\"15s\"", kSecond, kHour, "ms", "",
        "pressure.calm_after_ms",
        "How long nothing may have asked for a level until it falls by one. Doubled, 8 fold at "
        "most, where it soon rises again.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_calm_after_ms(u32(v)); }},
    SettingKey{
        "pressure.coalesce_busy", Type::kDuration, "\"1s\"", 0, kHour, "ms", "",
        "pressure.coalesce_busy_ms", "Takes the place of den.coalesce, where it is longer.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_coalesce_busy_ms(u32(v)); }},
    SettingKey{"pressure.coalesce_pressed", Type::kDuration, "\"10s\"", 0, kHour, "ms", "",
               "pressure.coalesce_pressed_ms",
               "The same when pressed; from here on the first change waits too.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_coalesce_pressed_ms(u32(v));
               }},
    SettingKey{"pressure.coalesce_critical", Type::kDuration, "\"2min\"", 0, kHour, "ms", "",
               "pressure.coalesce_critical_ms", "The same when critical.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_coalesce_critical_ms(u32(v));
               }},
    SettingKey{
        "pressure.done_delay", Type::kDuration, "\"2s\"", 0, 10 * kSecond, "ms", "",
        "pressure.done_delay_ms",
        "How long DONE waits for its answer when critical; half of it when pressed.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_done_delay_ms(u32(v)); }},
    SettingKey{
        "pressure.logins_per_second", Type::kCount, "50", 0, 1'000'000, "", "",
        "pressure.logins_per_second",
        "Logins of all login processes together when pressed; 0: no bound. Who waits for more than "
        "5 s is told to try again.",
        [](Settings& s, const V& v) { s.wire.mutable_pressure()->set_logins_per_second(u32(v)); }},
    SettingKey{"pressure.refuse_logins", Type::kFlag, "true", 0, 0, "", "",
               "pressure.refuse_logins",
               "Whether new connections and logins are refused when critical.",
               [](Settings& s, const V& v) {
                 s.wire.mutable_pressure()->set_refuse_logins(v.number != 0);
               }},
};

}  // namespace

std::span<const SettingKey> settings_schema() { return kSchema; }
std::span<const SettingSection> settings_sections() { return kSections; }

// What is made once and lent to roles, and whom they run as.
bool needs_restart(std::string_view key) {
  constexpr std::array kKeys = {std::string_view("den.sessions"),
                                std::string_view("den.sockets_per_shard"),
                                std::string_view("den.slab_bytes_per_session"),
                                std::string_view("login.processes"),
                                std::string_view("login.steering"),
                                std::string_view("admission.mode"),
                                std::string_view("server.base_dir"),
                                std::string_view("server.mail_root"),
                                std::string_view("server.wake_scheduling"),
                                std::string_view("watch.backend"),
                                std::string_view("watch.shared_store"),
                                std::string_view("watch.notice_socket"),
                                std::string_view("watch.notice_access"),
                                std::string_view("watch.notice_listen"),
                                std::string_view("watch.notice_key")};
  return key.starts_with("listen.") || (key.starts_with("server.") && key.ends_with("_user")) ||
         std::ranges::find(kKeys, key) != kKeys.end();
}

const SettingKey* find_setting(std::string_view name) {
  auto found = std::ranges::find(kSchema, name, &SettingKey::name);
  return found == kSchema.end() ? nullptr : &*found;
}

}  // namespace dormouse::master
