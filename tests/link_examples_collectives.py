"""The models of the worked cases that are about collectives, outages and training."""

import math
from dataclasses import asdict

from closed_forms import counting, nccl, outages, pipelining, recorded, site_bounds, sites, training

from emul.links import diurnal, formulas


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


def diurnal_rate(rate, base, peak, hour, peak_hour=diurnal.BUSIEST_HOUR):
    return diurnal.diurnal_rate_bytes_per_s(
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
    "ddp_step+cross_twoshot": ddp_step,
    "diloco_min_H": diloco_min_H,
    "diloco_utilisation": diloco_utilisation,
    "diurnal_rate": diurnal_rate,
    "fiber_mtbf_years": lambda route_km: outages.years_between_cuts(route_km),
    "flat_ring_sites": flat_ring_sites,
    "hier_allreduce": hier_allreduce,
    "hier_levels": hier_levels,
    "hier_pipelined": hier_pipelined,
    "mahimahi_transfer_time": mahimahi_transfer_time,
    "nccl_ring_allreduce_latency_us": nccl_ring,
    "nccl_tree_allreduce_latency_us": nccl_tree,
    "oneshot_twoshot_crossover": oneshot_twoshot_crossover,
    "pairwise_alltoall": equal_links(formulas.pairwise_all_to_all_s),
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
    "tcp_outage": tcp_outage,
    "three_campus": three_campus,
    "tp_cross_site_penalty": tp_cross_site_penalty,
    "trace_transfer_time": trace_transfer_time,
    "tree_allreduce": equal_links(formulas.tree_all_reduce_s),
    "zero3_step": zero3_step,
}
