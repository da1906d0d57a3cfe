// The policy of admission on the hooks that were not chosen, for hooks_bench.cc to compare. Never
// loaded by the server. docs/ebpf.md has the table.

// clang-format off
#include "vmlinux.h"
// clang-format on
#include "ebpf/admission_policy.bpf.h"

#define TC_ACT_OK 0
#define TC_ACT_SHOT 2

const volatile uint16_t our_port = 143;

// These hooks see everybody's packets: whose they are must be asked of each.
static __always_inline int passes(const struct __sk_buff* skb) {
  struct packet_facts facts = {};
  if (look_at(skb, &facts) != PACKET_SYN || facts.port != our_port) return 1;
  return admit_syn(&facts.from);
}

SEC("cgroup_skb/ingress")
int on_cgroup(struct __sk_buff* skb) { return passes(skb); }

SEC("tc")
int on_tc(struct __sk_buff* skb) { return passes(skb) ? TC_ACT_OK : TC_ACT_SHOT; }

// IPv4 without options only: enough to be compared, and the least that XDP could cost.
SEC("xdp")
int on_xdp(struct xdp_md* md) {
  void* data = (void*)(long)md->data;
  void* end = (void*)(long)md->data_end;
  struct ethhdr* ethernet = data;
  struct iphdr* ip = (void*)(ethernet + 1);
  struct tcphdr* tcp = (void*)(ip + 1);
  struct admission_prefix from = {.family = 4};
  if ((void*)(tcp + 1) > end) return XDP_PASS;
  if (ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_TCP) return XDP_PASS;
  if (!tcp->syn || tcp->ack || tcp->rst || tcp->dest != bpf_htons(our_port)) return XDP_PASS;
  __builtin_memcpy(from.bytes, &ip->saddr, 3);
  return admit_syn(&from) ? XDP_PASS : XDP_DROP;
}

// These two are asked only where a listener is looked up, and cannot keep silent: TCP answers a
// drop with a reset.
SEC("sk_lookup")
int on_sk_lookup(struct bpf_sk_lookup* lookup) {
  struct admission_prefix from = {.family = 4};
  uint32_t address = lookup->remote_ip4;
  if (lookup->local_port != our_port) return SK_PASS;
  __builtin_memcpy(from.bytes, &address, 3);
  return admit_syn(&from) ? SK_PASS : SK_DROP;
}

SEC("sk_reuseport")
int on_sk_reuseport(struct sk_reuseport_md* md) {
  struct admission_prefix from = {.family = 4};
  if (bpf_skb_load_bytes_relative(md, 12, from.bytes, 3, BPF_HDR_START_NET)) return SK_PASS;
  return admit_syn(&from) ? SK_PASS : SK_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
