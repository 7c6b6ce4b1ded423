"""The models of the worked cases, by name: each takes a case's inputs and calls emul.links.

Here units and names are translated, nothing is computed.
"""

import math

import link_examples_collectives
from closed_forms import barrier, ecmp, message, sharing, tail

from emul.links import delay, framing, jitter, loss, queues, transport

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


MODELS = {
    "bbr_rate": bbr_rate,
    "cubic_rate": cubic_rate,
    "cubic_window": cubic_window,
    "ecmp_stats": ecmp_stats,
    "fiber_us_per_km": fiber_us_per_km,
    "fluid_finish": fluid_finish,
    "gap_rate": gap_rate,
    "gbn_efficiency": gbn_efficiency,
    "loaded_rtt": loaded_rtt,
    "lognormal_expected_max": lognormal_expected_max,
    "lognormal_sigma": lambda p99_over_p50: jitter.lognormal_sigma(p99_over_p50),
    "mathis_rate": mathis_rate,
    "maxmin": maxmin,
    "one_way_delay": one_way_delay,
    "pfc_headroom_bytes": pfc_headroom_bytes,
    "slow_start_time": slow_start_time,
    "sr_efficiency": sr_efficiency,
    "sr_expected_time": sr_expected_time,
    "sr_tail_closed": sr_tail_closed,
    "streams_to_fill": streams_to_fill,
    "tfrc_rate": tfrc_rate,
    "transfer_time": transfer_time,
    "window_rate": window_rate,
    "wire_efficiency": lambda payload_B, overhead_B: framing.wire_efficiency(payload_B, overhead_B),
    **link_examples_collectives.MODELS,
}
