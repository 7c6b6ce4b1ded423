"""The models of the worked cases, by name: each takes a case's inputs and calls its formula.

Here units and names are translated, nothing is computed.
"""

import math
from dataclasses import asdict

from closed_forms import (
    barrier,
    counting,
    ecmp,
    message,
    nccl,
    outages,
    pipelining,
    recorded,
    sharing,
    site_bounds,
    sites,
    tail,
    training,
)

from emul.links import changes, delay, formulas, framing, jitter, loss, queues, transport

US = 1e-6


def fiber_us_per_km(group_index=delay.GLASS_GROUP_INDEX):
    return delay.glass_s_per_km(group_index) / US


def one_way_delay(
    los_km=0.0,
    group_index=delay.GLASS_GROUP_INDEX,
    route_factor=1.0,
    dcm_fraction=0.0,
    transponder_pairs=0,
    transponder_pair_us=8.0,
    amps=0,
    amp_us=0.15,
    hops=0,
    hop_us=0.0,
    sf_hops=0,
    mtu_B=4096,
    rate_bps=math.inf,
    macsec_us=0.0,
    fec_us=0.0,
):
    boxes_s = delay.equipment_s(
        amplifiers=amps,
        amplifier_s=amp_us * US,
        transponder_pairs=transponder_pairs,
        transponder_pair_s=transponder_pair_us * US,
        hops=hops,
        hop_s=hop_us * US,
        store_and_forward_hops=sf_hops,
        packet_s=delay.store_and_forward_s(mtu_B, rate_bps / 8) if sf_hops else 0.0,
        error_correction_s=fec_us * US,
        macsec_s=macsec_us * US,
    )
    return delay.one_way_delay_s(
        los_km,
        route_factor=route_factor,
        dispersion_compensation=dcm_fraction,
        equipment_s=boxes_s,
        group_index=group_index,
    )


def window_rate(rate, window_B, rtt, streams=1, chunk_B=0.0, turnaround=0.0):
    return transport.window_rate_bytes_per_s(
        rate,
        window_bytes=window_B,
        rtt_s=rtt,
        streams=streams,
        chunk_bytes=chunk_B,
        turnaround_s=turnaround,
    )


def streams_to_fill(rate, window_B, rtt):
    return transport.streams_to_fill(rate, window_bytes=window_B, rtt_s=rtt)


def gap_rate(rate, chunk_B, gap, streams=1):
    return message.gap_rate_bytes_per_s(rate, chunk_bytes=chunk_B, gap_s=gap, streams=streams)


def transfer_time(S, L, rate, overhead=0.0, sf_hops=0, mtu_B=4096):
    stored_s = sf_hops * delay.store_and_forward_s(mtu_B, rate)
    return message.transfer_time_s(
        S, rate_bytes_per_s=rate, delay_s=L, overhead_s=overhead, extra_s=stored_s
    )


def slow_start_time(S, rate, rtt, L=0.0, iw_B=14480):
    return message.slow_start_time_s(
        S, rate_bytes_per_s=rate, rtt_s=rtt, delay_s=L, initial_window_bytes=iw_B
    )


def mathis_rate(mss_B, rtt, p, rate=math.inf, b=1):
    return loss.mathis_rate_bytes_per_s(
        mss_B, rtt_s=rtt, loss=p, segments_per_ack=b, limit_bytes_per_s=rate
    )


def tfrc_rate(s_B, rtt, p, b=1, t_rto=None, rate=math.inf):
    return message.tfrc_rate_bytes_per_s(
        s_B, rtt_s=rtt, loss=p, segments_per_ack=b, timeout_s=t_rto, limit_bytes_per_s=rate
    )


def cubic_window(rtt, p):
    return loss.cubic_window_segments(rtt, p)


def cubic_rate(mss_B, rtt, p, rate=math.inf):
    return loss.cubic_rate_bytes_per_s(mss_B, rtt_s=rtt, loss=p, limit_bytes_per_s=rate)


def bbr_rate(rate, p, threshold=loss.BBR_MOST_LOSS):
    return loss.bbr_rate_bytes_per_s(rate, p, most_loss=threshold)


def loaded_rtt(rate, total_window_B, rtt0, buffer_B=math.inf):
    return message.loaded_rtt_s(
        rate, total_window_bytes=total_window_B, rtt_s=rtt0, buffer_bytes=buffer_B
    )


def gbn_efficiency(p, n_pkts, window_pkts=math.inf):
    return loss.go_back_n_efficiency(p, n_pkts, window_packets=window_pkts)


def sr_efficiency(p, n_pkts, window_pkts=math.inf):
    return loss.selective_repeat_efficiency(p, n_pkts, window_packets=window_pkts)


def sr_expected_time(M, t_pkt, t_rec, p, L=0.0):
    return tail.selective_repeat_time_s(M, packet_s=t_pkt, recovery_s=t_rec, loss=p, delay_s=L)


def sr_tail_closed(M, t_pkt, t_rec, p):
    return tail.tail_closed_form_s(M, packet_s=t_pkt, recovery_s=t_rec, loss=p)


def pfc_headroom_bytes(rate_bps, cable_km, mtu_B=9216, fixed_bits=0.0):
    return queues.pfc_headroom_bytes(
        rate_bps / 8, cable_km=cable_km, mtu_bytes=mtu_B, fixed_bits=fixed_bits
    )


def uncapped(cap):
    return math.inf if cap == "none" else cap


def maxmin(links, flows):
    return sharing.max_min_rates(
        links,
        {
            name: sharing.Flow(tuple(path), cap_bytes_per_s=uncapped(cap))
            for name, (cap, path) in flows.items()
        },
    )


def fluid_finish(links, flows):
    return sharing.finish_times_s(
        links,
        {
            name: sharing.Flow(tuple(path), uncapped(cap), nbytes, start_s)
            for name, (start_s, nbytes, cap, path) in flows.items()
        },
    )


def ecmp_stats(flows, paths):
    return {
        "p_no_collision": ecmp.no_collision_probability(flows, paths),
        "mean_paths_used_fraction": ecmp.used_paths_fraction(flows, paths),
        "expected_max_load": ecmp.expected_most_flows(flows, paths),
    }


def lognormal_expected_max(median, sigma, n, steps=4001):
    return barrier.expected_largest(median, sigma, n, points=steps)


def equal_links(function):
    """Take n, S (m in an all-to-all), alpha, rate, and whatever else the formula has."""

    def model(n, alpha, rate, S=None, m=None, **others):
        nbytes = m if S is None else S
        named = {{"chunk": "chunk_bytes"}[name]: value for name, value in others.items()}
        return function(n, nbytes, alpha_s=alpha, rate_bytes_per_s=rate, **named)

    return model


def best_chunks(best):
    return {"k": best.chunks, "chunk_B": best.chunk_bytes, "time_s": best.time_s}


def pipeline_hockney(d, S, alpha, rate, k):
    return pipelining.hockney_pipeline_s(d, S, alpha_s=alpha, rate_bytes_per_s=rate, chunks=k)


def pipeline_hockney_opt(d, S, alpha, rate):
    return best_chunks(pipelining.best_hockney_chunks(d, S, alpha_s=alpha, rate_bytes_per_s=rate))


def pipeline_loggp(d, S, L, g, rate, k):
    return pipelining.loggp_pipeline_s(d, S, delay_s=L, gap_s=g, rate_bytes_per_s=rate, chunks=k)


def pipeline_loggp_opt(d, S, L, g, rate):
    return best_chunks(
        pipelining.best_loggp_chunks(d, S, delay_s=L, gap_s=g, rate_bytes_per_s=rate)
    )


def nccl_ring(n_ranks, n_nodes, proto, intra="NVLink", net_overhead_us=1.0):
    return nccl.nccl_ring_all_reduce_us(
        n_ranks, n_nodes, proto, inside=intra, network_overhead_us=net_overhead_us
    )


def nccl_tree(n_ranks, n_nodes, proto, intra="NVLink"):
    return nccl.nccl_tree_all_reduce_us(n_ranks, n_nodes, proto, inside=intra)


def flat_ring_sites(K, per_site, S, rate_in, L_in, rate_x, L_x):
    return sites.flat_ring_s(
        K,
        per_site,
        S,
        rate_bytes_per_s=rate_in,
        latency_s=L_in,
        cross_rate_bytes_per_s=rate_x,
        cross_latency_s=L_x,
    )


def by_sites(rate_in, L_x, uplink=math.inf, nic=math.inf, o_in=0.0, o_x=0.0):
    return {
        "rate_bytes_per_s": rate_in,
        "delay_s": L_x,
        "uplink_bytes_per_s": uplink,
        "nic_bytes_per_s": nic,
        "overhead_s": o_in,
        "cross_overhead_s": o_x,
    }


def hier_allreduce(K, per_site, S, **links):
    time = sites.hierarchical_all_reduce(K, per_site, S, **by_sites(**links))
    return {
        "rs_s": time.reduce_scatter_s,
        "cross_s": time.cross_s,
        "ag_s": time.all_gather_s,
        "total_s": time.total_s,
        "cross_busy_s": time.cross_busy_s,
    }


def hier_pipelined(K, per_site, S, k, **links):
    return sites.pipelined_hierarchical_s(K, per_site, S, pieces=k, **by_sites(**links))


def hier_levels(S, levels):
    return sites.levels_all_reduce_s(S, [sites.Level(*level) for level in levels])


def across(function):
    def model(K, S, uplink, L):
        return function(K, S, uplink_bytes_per_s=uplink, delay_s=L)

    return model


def oneshot_twoshot_crossover(K, uplink, L):
    return sites.one_shot_wins_below_bytes(K, uplink_bytes_per_s=uplink, delay_s=L)


def counted(count):
    return {
        "cross_site_elements": count.cross_site_elements,
        "sum_correct": count.sums_are_right,
    }


def count_ring(n, site_of, elems_per_rank):
    assert n == len(site_of)
    return counted(counting.count_ring(site_of, elems_per_rank))


def count_rhd(n, site_of, elems_per_rank, far_first=True):
    assert n == len(site_of)
    return counted(counting.count_halving_doubling(site_of, elems_per_rank, far_first=far_first))


def count_hier(K, m, elems):
    return counted(counting.count_hierarchical(K, m, elems))


def bound(found):
    return {"cut_s": found.cut_s, "count_s": found.count_s, "bound_s": found.bound_s}


def allreduce_lower_bound(S, up, down, L=0.0):
    return bound(site_bounds.all_reduce_bound(S, up, down, delay_s=L))


def allreduce_cut_bound_mesh(S, cap, L=0.0):
    return bound(site_bounds.all_reduce_mesh_bound(S, cap, delay_s=L))


def allgather_lower_bound(shares_B, up, down, L=0.0):
    return site_bounds.all_gather_bound_s(shares_B, up, down, delay_s=L)


def alltoall_lower_bound(ranks, m, up, down, L=0.0):
    return site_bounds.all_to_all_bound_s(ranks, m, up, down, delay_s=L)


def rdma_outage(D, timeout=20, retry=7):
    return asdict(outages.rdma_outage(D, timeout=timeout, retries=retry))


def tcp_outage(D, rto=0.2, rto_max=math.inf):
    return asdict(outages.tcp_outage(D, timer_s=rto, longest_timer_s=rto_max))


def trace_transfer_time(S, trace, L=0.0, t0=0.0):
    return recorded.traced_transfer_time_s(S, trace, delay_s=L, start_s=t0)


def mahimahi_transfer_time(S, stamps_ms, L=0.0):
    return recorded.recorded_packets_time_s(S, stamps_ms, delay_s=L)


def diurnal_rate(rate, base, peak, hour, peak_hour=changes.BUSIEST_HOUR):
    return changes.diurnal_rate_bytes_per_s(
        rate, hour, least_load=base, most_load=peak, busiest_hour=peak_hour
    )


def compute_time(params, tokens, gpus, peak_flops=989e12, mfu=0.4, flops_per_param=6):
    return training.compute_time_s(
        params,
        tokens,
        gpus,
        peak_flops=peak_flops,
        utilisation=mfu,
        flops_per_parameter_and_token=flops_per_param,
    )


def ddp_step(t_fwd, t_bwd, buckets, bucket_bytes, K, uplink, L):
    def cost_s(nbytes):
        return sites.two_shot_s(K, nbytes, uplink_bytes_per_s=uplink, delay_s=L)

    return asdict(training.bucketed_step(t_fwd, t_bwd, [bucket_bytes] * buckets, cost_s))


def zero3_step(layers, t_fwd, t_bwd, ag, rs):
    return training.sharded_step_s(
        layers, forward_s=t_fwd, backward_s=t_bwd, all_gather_s=ag, reduce_scatter_s=rs
    )


def required_uplink(K, grad_B, t_overlap):
    return training.required_uplink_bytes_per_s(K, grad_B, t_overlap)


def three_campus(
    params, tokens, gpus, uplink, L, K=3, peak_flops=989e12, mfu=0.4, buckets=32, grad_bytes=2
):
    step = training.campus_step(
        params,
        compute_s=compute_time(params, tokens, gpus, peak_flops, mfu),
        sites=K,
        uplink_bytes_per_s=uplink,
        delay_s=L,
        gradient_bytes_per_parameter=grad_bytes,
        buckets=buckets,
    )
    named = {**asdict(step), "distance": step.distance, "slowdown": step.slowdown}
    named["diloco_H_5pct"] = named.pop("local_steps")
    return named


def diloco_utilisation(H, t_step, t_sync, overlap_steps=0.0, fragments=1):
    return training.local_steps_utilisation(
        H, step_s=t_step, sync_s=t_sync, overlap_steps=overlap_steps, fragments=fragments
    )


def diloco_min_H(t_step, t_sync, loss_fraction=0.05):
    return training.least_local_steps(t_step, t_sync, lost_part=loss_fraction)


def tp_cross_site_penalty(layers, act_bytes, rate, L, microbatches=1):
    return training.tensor_parallel_penalty_s(
        layers, act_bytes, rate_bytes_per_s=rate, delay_s=L, microbatches=microbatches
    )


def pp_cross_site_penalty(crossings, act_bytes, rate, L):
    return training.pipeline_parallel_penalty_s(
        crossings, act_bytes, rate_bytes_per_s=rate, delay_s=L
    )


MODELS = {
    "allgather_lower_bound": allgather_lower_bound,
    "allreduce_cut_bound_mesh": allreduce_cut_bound_mesh,
    "allreduce_lower_bound": allreduce_lower_bound,
    "alltoall_lower_bound": alltoall_lower_bound,
    "availability": lambda mtbf_h, mttr_h: outages.availability(mtbf_h, mttr_h),
    "bbr_rate": bbr_rate,
    "bruck_all_gather": equal_links(formulas.bruck_all_gather_s),
    "bruck_alltoall": equal_links(formulas.bruck_all_to_all_s),
    "compression_breakeven_rate": lambda S_wire, ratio, t_codec: (
        training.compression_pays_below_bytes_per_s(S_wire, ratio, t_codec)
    ),
    "compute_time": compute_time,
    "count_hier": count_hier,
    "count_rhd": count_rhd,
    "count_ring": count_ring,
    "cross_oneshot": across(sites.one_shot_s),
    "cross_ring": across(sites.ring_across_s),
    "cross_twoshot": across(sites.two_shot_s),
    "cubic_rate": cubic_rate,
    "cubic_window": cubic_window,
    "ddp_step+cross_twoshot": ddp_step,
    "diloco_min_H": diloco_min_H,
    "diloco_utilisation": diloco_utilisation,
    "diurnal_rate": diurnal_rate,
    "ecmp_stats": ecmp_stats,
    "fiber_mtbf_years": lambda route_km: outages.years_between_cuts(route_km),
    "fiber_us_per_km": fiber_us_per_km,
    "flat_ring_sites": flat_ring_sites,
    "fluid_finish": fluid_finish,
    "gap_rate": gap_rate,
    "gbn_efficiency": gbn_efficiency,
    "hier_allreduce": hier_allreduce,
    "hier_levels": hier_levels,
    "hier_pipelined": hier_pipelined,
    "loaded_rtt": loaded_rtt,
    "lognormal_expected_max": lognormal_expected_max,
    "lognormal_sigma": lambda p99_over_p50: jitter.lognormal_sigma(p99_over_p50),
    "mahimahi_transfer_time": mahimahi_transfer_time,
    "mathis_rate": mathis_rate,
    "maxmin": maxmin,
    "nccl_ring_allreduce_latency_us": nccl_ring,
    "nccl_tree_allreduce_latency_us": nccl_tree,
    "one_way_delay": one_way_delay,
    "oneshot_twoshot_crossover": oneshot_twoshot_crossover,
    "pairwise_alltoall": equal_links(formulas.pairwise_all_to_all_s),
    "pfc_headroom_bytes": pfc_headroom_bytes,
    "pipeline_hockney": pipeline_hockney,
    "pipeline_hockney_opt": pipeline_hockney_opt,
    "pipeline_loggp": pipeline_loggp,
    "pipeline_loggp_opt": pipeline_loggp_opt,
    "pp_cross_site_penalty": pp_cross_site_penalty,
    "rd_allreduce": equal_links(formulas.doubling_all_reduce_s),
    "rdma_outage": rdma_outage,
    "required_uplink": required_uplink,
    "rhd_allreduce": equal_links(formulas.halving_doubling_all_reduce_s),
    "ring_all_gather": equal_links(formulas.ring_one_pass_s),
    "ring_allreduce": equal_links(formulas.ring_all_reduce_s),
    "ring_hops": lambda occupancy, latency, steps: sites.ring_steps_s(occupancy, latency, steps),
    "ring_reduce_scatter": equal_links(formulas.ring_one_pass_s),
    "slow_start_time": slow_start_time,
    "sr_efficiency": sr_efficiency,
    "sr_expected_time": sr_expected_time,
    "sr_tail_closed": sr_tail_closed,
    "streams_to_fill": streams_to_fill,
    "tcp_outage": tcp_outage,
    "tfrc_rate": tfrc_rate,
    "three_campus": three_campus,
    "tp_cross_site_penalty": tp_cross_site_penalty,
    "trace_transfer_time": trace_transfer_time,
    "transfer_time": transfer_time,
    "tree_allreduce": equal_links(formulas.tree_all_reduce_s),
    "window_rate": window_rate,
    "wire_efficiency": lambda payload_B, overhead_B: framing.wire_efficiency(payload_B, overhead_B),
    "zero3_step": zero3_step,
}
