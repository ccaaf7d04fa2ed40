#!/usr/bin/env python3
"""Writes the vectors: one JSON file a message, and noise.json. Run by tools/generate; the output depends on nothing but this file
and the .proto files.

A vector holds the flags and the sequence number of a frame, the name of its message, the message as protobuf JSON, and all bytes
of the frame as hex. Python's protobuf and the few lines below make the bytes; the Swift codec is checked against them.
"""

import json
import math
import struct
import zlib

from google.protobuf import json_format

from schema import VECTORS, Schema

s = Schema()
MORE = 1
BOOT = 0x0123456789ABCDEF
OPERATION = 0xF00DFACE00000001


def floats(values):
    return struct.pack(f"<{len(values)}f", *values)


def words(values):
    return struct.pack(f"<{len(values)}H", *values)


def longs(values):
    return struct.pack(f"<{len(values)}I", *values)


def conductance(i):
    """A spread of conductances in 10 to 90 µS."""
    return 1e-5 + 8e-5 * ((i * 37) % 101) / 100


def block(rows, columns, macro=0, row=0, column=0):
    return s.CellBlock(macro=macro, first_row=row, rows=rows, first_column=column, columns=columns)


def requests():
    read = s.ReadBias(word_line_v=1.1, bit_line_v=0.2, averages=4)
    set_ramp = s.PulseRamp(word_line_v=1.2, start_v=0.8, step_v=0.05, stop_v=1.6, width_ns=1000)
    reset_ramp = s.PulseRamp(word_line_v=2.5, start_v=0.9, step_v=0.05, stop_v=1.8, width_ns=500)
    cells = s.CellSelection(block=block(3, 5, macro=1, row=2, column=4))
    some = s.CellSelection(block=block(3, 5, macro=1, row=2, column=4), mask=bytes([0b10100101, 0b01010010]))
    plain = {
        "hello": s.Hello(protocol_level=1, minimum_level=1, session_id=0xDEADBEEF12345678, client="rram 0.1.0"),
        "get-description": s.GetDescription(),
        "get-limits": s.GetLimits(),
        "safe": s.Safe(),
        "abort": s.Abort(target_operation_id=OPERATION),
        "heartbeat": s.Heartbeat(),
        "credit": s.Credit(sequence=7, frames=16),
        "get-operation": s.GetOperation(operation_id=OPERATION),
        "get-counters": s.GetCounters(),
        "advance-time": s.AdvanceTime(duration_us=600_000_000),
        "get-label": s.GetLabel(macro=1),
        "set-label": s.SetLabel(macro=1, label=bytes(range(16, 32))),
        "set-dac": s.SetDac(kind=s.PRESET_DAC, channel=1, code=3071),
        "read-adc": s.ReadAdc(kind=s.TEMPERATURE_ADC, channel=0),
        "configure-loop": s.ConfigureLoop(layers=[
            s.LoopLayer(block=block(3, 28), column_gain=words([2048 + i for i in range(14)])),
            s.LoopLayer(block=block(15, 28, row=3), column_gain=words([4095] * 14)),
            s.LoopLayer(block=block(15, 4, row=18), column_gain=words([0, 65535])),
        ]),
        "upload-schedule": s.UploadSchedule(
            schedule_id=3, ticks=200, tick_ns=100, first_tick=8, count=4,
            codes=words([(977 * i) % 65536 for i in range(4 * 16)]), noise=floats([0.5, 0.4, 0.3, 0.2])),
    }
    touching = {
        "form": s.Form(
            cells=cells, read=read, stop_conductance_s=1e-5, credit=8,
            ramp=s.PulseRamp(word_line_v=1.4, start_v=2, step_v=0.1, stop_v=3.3, width_ns=10000)),
        "pulse": s.Pulse(cells=cells, kind=s.RESET, word_line_v=2.5, source_line_v=1.35, width_ns=200, count=3),
        "cycle-cells": s.CycleCells(
            cells=cells, set_word_line_v=1.2, set_bit_line_v=1.5, set_width_ns=1000, reset_word_line_v=2.5,
            reset_source_line_v=1.8, reset_width_ns=500, count=5000),
        "read-cells": s.ReadCells(cells=s.CellSelection(block=block(64, 64)), bias=read),
        "write-verify": s.WriteVerify(
            cells=cells, targets=floats([conductance(i) for i in range(15)]), tolerance_s=1.5e-6, set=set_ramp,
            reset=reset_ramp, verify=read, confirm_reads=1, max_pulses=200, max_reversals=12, credit=4),
        "matrix-product": s.MatrixProduct(
            block=block(4, 8), inputs=floats([0.2, -0.2, 0.05, 0]), word_line_v=1.1, averages=1),
        "run-loop": s.RunLoop(
            schedule_id=3, samples=5, preset=words([100 * i + 1 for i in range(10)]), seed=0xFEDCBA9876543210,
            first_sample=1000, trajectory_every=50, credit=2),
    }
    for name, body in plain.items():
        yield name, 0, s.Request(**{name.replace("-", "_"): body})
    for name, body in touching.items():
        yield name, 0, s.Request(operation_id=OPERATION, **{name.replace("-", "_"): body})
    yield "advance-time-hot", 0, s.Request(advance_time=s.AdvanceTime(duration_us=0, temperature_c=85))
    body = s.WriteVerify()
    body.CopyFrom(touching["write-verify"])
    body.cells.CopyFrom(some)
    body.targets = floats([conductance(i) for i in range(7)])
    yield "write-verify-masked", 0, s.Request(operation_id=2**64 - 1, write_verify=body)
    body = s.WriteVerify()
    body.CopyFrom(touching["write-verify"])
    body.lower = floats([conductance(i) for i in range(15)])
    body.upper = floats([1.25e-4] * 15)
    body.confirm_mean = True
    body.max_energy_j = 2e-6
    body.max_cycles = 100
    body.gate_ramp.CopyFrom(s.GateRamp(
        first_v=floats([0.875 if i % 4 else float("nan") for i in range(15)]), step_v=0.1, stop_v=3))
    yield "write-verify-gate-ramp", 0, s.Request(operation_id=OPERATION, write_verify=body)
    body = s.WriteVerify()
    body.CopyFrom(touching["write-verify"])
    body.cells.CopyFrom(s.CellSelection(block=block(1, 2)))
    body.targets = floats([conductance(3), conductance(4)])
    body.pairs = True
    body.response.CopyFrom(s.PulseResponse(
        set_v=1.8, set_goal_s=2.4e-4, reset_v=2, reset_goal_s=1.15e-5, volts_per_decade=0.2, reference_width_ns=1000, rate_spread=0.3,
        cell_spread_v=0.08, gate_threshold_v=0.6, gate_slope_s_per_v=1e-4, gate_pulse_spread=0.07, gate_cell_spread=0.13,
        read_spread=0.0125, grid_v=0.01, offsets=floats([0.0625, -0.125, float("nan"), 0.03125, float("nan"), 0.25])))
    yield "write-verify-response", 0, s.Request(operation_id=OPERATION, write_verify=body)
    body = s.UploadSchedule()
    body.CopyFrom(plain["upload-schedule"])
    body.noise = b""
    yield "upload-schedule-noiseless", 0, s.Request(upload_schedule=body)
    yield "configure-loop-second", 0, s.Request(configure_loop=s.ConfigureLoop(
        layers=[s.LoopLayer(block=block(3, 4), column_gain=words([1, 2]))],
        second=[s.LoopLayer(block=block(3, 4, macro=3, row=5), column_gain=words([3, 65535]))]))
    yield "run-loop-start", 0, s.Request(operation_id=OPERATION, run_loop=s.RunLoop(
        schedule_id=3, samples=100_000, seed=7, first_sample=12, credit=4, start_deviation_v=0.125,
        run_id=0x0123456789ABCDEF))
    yield "configure-loop-rows", 0, s.Request(configure_loop=s.ConfigureLoop(layers=[
        s.LoopLayer(
            block=block(6, 8), column_gain=words([100, 200, 300, 400]), row_source=bytes([2, 3, 1, 0, 3, 2]),
            row_attenuation=bytes([0, 0, 0, 0, 1, 2])),
    ]))
    yield "set-trigger", 0, s.Request(set_trigger=s.SetTrigger(pulses=True))
    yield "read-adc-loopback", 0, s.Request(
        read_adc=s.ReadAdc(kind=s.LOOPBACK_ADC, channel=13, dac_kind=s.EMBEDDING_DAC))


def responses():
    page = b"name: parallel\nmacros: 2  # \xc2\xb5S and \xce\xa9 are two bytes each\n"
    progress = s.Progress(finished=12, total=15, pulses=96, reads=111, rounds=8)
    bodies = {
        "hello": s.HelloResult(
            protocol_level=1, firmware_minimum_level=1, firmware_maximum_level=1, firmware_version="0.1.0",
            serial="RR-0042", board="parallel", chip_id="cmo-hfox-7", chip_profile="cmo-hfox",
            capabilities=[1, 2, 3, 4, 5, 6, 7, 8, 10], max_request_bytes=16384, max_response_bytes=65536, max_in_flight=8,
            max_schedule_ticks=4096, watchdog_ms=2000, energised=True, emulated=True, bus_round_trip_us=125,
            bus_bytes_per_second=40_000_000, chip_time_at_boot_us=86_400_000_000),
        "description": s.DescriptionPage(first_index=0, total=200, page=page),
        "limits": s.Limits(
            present=True, word_line_v=3.3, bit_line_v=1.8, source_line_v=2, forming_v=3.4, read_v=0.2,
            pulse_width_min_ns=50, pulse_width_max_ns=1_000_000, pulses_per_request=1000, conductance_min_s=1e-5,
            conductance_max_s=9e-5, slew_v_per_s=5e7, current_a=1e-3, pulse_energy_j=5e-7, power_w=0.5, resistance_ohm=1e6,
            disturb_v=1.05, pulses_per_run=20000, pulses_per_life=10_000_000, temperature_min_c=-20,
            temperature_max_c=125),
        "safe": s.SafeResult(aborted_operations=2, grounded=True),
        "abort": s.AbortResult(aborted_operations=1),
        "heartbeat": s.HeartbeatResult(
            energised=True, last_safe_cause=s.WATCHDOG, queued_operations=3, faults=0b10001),
        "operation": s.OperationState(
            operation_id=OPERATION, state=s.OperationState.RUNNING, finished=12, total=4096, pulses=2**40, reads=7),
        "counters": s.Counters(
            pulses=1, reads=2, set_pulses=3, reset_pulses=4, forming_pulses=5, failures=6, loop_runs=7,
            busy_us=8_000_000, bad_frames=9, frames_received=10, frames_sent=11, watchdog_trips=12, faults=0b00110,
            triggers=13),
        "advance-time": s.AdvanceTimeResult(),
        "label": s.Label(macro=1, label=bytes(range(16, 32)), write_counter=41),
        "cell-results": s.CellResults(
            first_index=5, count=4, conductance=floats([2e-5, 3.5e-5, math.nan, 9e-5]), pulses=longs([0, 7, 0, 200]),
            reads=longs([1, 8, 0, 201]), reason=bytes([s.CONVERGED, s.CONVERGED, s.MASKED, s.PULSE_LIMIT]),
            forming_voltage=floats([2.5, 2.6, math.nan, 2.75]), progress=progress),
        "conductances": s.Conductances(
            first_index=64, count=16, conductance=floats([conductance(i) for i in range(16)]), saturated=1,
            formed=bytes([0b11110111, 0b00111111])),
        "set-dac": s.SetDacResult(voltage_v=0.75),
        "adc": s.AdcResult(code=4095, value=27.5, saturated=True),
        "column-currents": s.ColumnCurrents(
            first_index=2, count=6, currents=floats([1e-6 * (i - 3) for i in range(6)]), saturated=0),
        "configure-loop": s.ConfigureLoopResult(),
        "upload-schedule": s.UploadScheduleResult(received=12),
        "run-results": s.RunResults(
            first_index=2, count=3, x=words([0, 65535, 32768, 32767, 1, 2]), over_range=bytes([0, 0b11111, 0b01000]),
            trajectory=words(range(3 * 4 * 2)), preset_ns=15_000, loop_ns=60_000, conversion_ns=6_000),
    }
    head = {"boot_id": BOOT, "board_time_us": 123_456_789_012}
    for name, body in bodies.items():
        yield name, 0, s.Response(**head, status=s.OK, **{name.replace("-", "_"): body})
    yield "cell-results-more", MORE, s.Response(
        **head, status=s.OK, cell_results=s.CellResults(first_index=0, count=0, progress=progress))
    yield "cell-results-finished", MORE, s.Response(
        **head, status=s.OK, cell_results=s.CellResults(
            conductance=floats([4e-5, 5e-5]), pulses=longs([9, 12]), reads=longs([10, 13]),
            reason=bytes([s.CONVERGED, s.STUCK_LOW]), progress=progress, indices=longs([3, 17])))
    yield "conductances-large", MORE, s.Response(**head, status=s.OK, conductances=s.Conductances(
        first_index=0, count=4096, conductance=floats([conductance(i) for i in range(4096)])))
    yield "aborted-with-results", 0, s.Response(
        **head, status=s.ABORTED, detail="ended by Safe", cell_results=bodies["cell-results"])
    refusals = {
        "word-line": (s.Refusal.WORD_LINE, 5.0, -3.3, 3.3), "bit-line": (s.Refusal.BIT_LINE, 2.5, -1.8, 1.8),
        "source-line": (s.Refusal.SOURCE_LINE, 2.05, -2.0, 2.0), "forming": (s.Refusal.FORMING, 4.0, 0.0, 3.4),
        "read": (s.Refusal.READ, 0.3, -0.2, 0.2), "pulse-width": (s.Refusal.PULSE_WIDTH, 20.0, 50.0, 1e6),
        "pulse-count": (s.Refusal.PULSE_COUNT, 5000.0, 0.0, 1000.0),
        "conductance": (s.Refusal.CONDUCTANCE, 2e-4, 1e-5, 9e-5),
        "slew": (s.Refusal.SLEW, 1e8, 0.0, 5e7), "current": (s.Refusal.CURRENT, 2e-3, 0.0, 1e-3),
        "pulse-energy": (s.Refusal.PULSE_ENERGY, 6e-7, 0.0, 5e-7), "power": (s.Refusal.POWER, 0.6, 0.0, 0.5),
        "resistance": (s.Refusal.RESISTANCE, 2e6, 0.0, 1e6), "disturb": (s.Refusal.DISTURB, 1.1, -1.05, 1.05),
        "pulses-per-run": (s.Refusal.PULSES_PER_RUN, 20001.0, 0.0, 20000.0),
        "pulses-per-life": (s.Refusal.PULSES_PER_LIFE, 10000001.0, 0.0, 1e7),
        "temperature": (s.Refusal.TEMPERATURE, 150.0, -20.0, 125.0),
        "over-range": (s.Refusal.OVER_RANGE, 1024.0, 0.0, 1023.0),
    }
    for name, (limit, asked, low, high) in refusals.items():
        refusal = s.Refusal(limit=limit, asked=asked, minimum=low, maximum=high)
        if name == "conductance":
            refusal.cell.CopyFrom(block(1, 1, macro=1, row=12, column=63))
        yield f"refused-{name}", 0, s.Response(
            **head, status=s.LIMIT_REFUSED, detail=f"the {name.replace('-', ' ')} limit refuses it", refusal=refusal)
    statuses = {
        "unknown-request": s.UNKNOWN_REQUEST, "bad-argument": s.BAD_ARGUMENT, "busy": s.BUSY, "aborted": s.ABORTED,
        "failed": s.FAILED, "unsupported": s.UNSUPPORTED, "wrong-state": s.WRONG_STATE,
    }
    for name, status in statuses.items():
        yield name, 0, s.Response(**head, status=status, detail=f"{name.replace('-', ' ')}, \u00b5S and \u03a9 included")
    older = s.HelloResult()
    older.CopyFrom(bodies["hello"])
    older.protocol_level, older.firmware_minimum_level, older.firmware_maximum_level = 0, 2, 3
    yield "version-mismatch", 0, s.Response(
        **head, status=s.VERSION_MISMATCH, detail="host speaks 1, firmware 2 to 3", hello=older)
    yield "run-results-start", 0, s.Response(**head, status=s.OK, run_results=s.RunResults(
        first_index=7, count=2, x=words([5, 6, 7, 8]), over_range=bytes([0b100000, 0]), preset_ns=1_000, loop_ns=40_000,
        conversion_ns=2_000, start=words([65535, 32768, 0, 1])))
    yield "set-trigger", 0, s.Response(**head, status=s.OK, set_trigger=s.SetTriggerResult())
    yield "column-currents-ranges", 0, s.Response(**head, status=s.OK, column_currents=s.ColumnCurrents(
        first_index=0, count=3, currents=floats([1e-6, 2e-5, 0]), ranges=bytes([3, 1, 3])))


def events():
    head = {"boot_id": BOOT, "board_time_us": 5_000_000}
    yield "bad-frame", 0, s.Event(**head, bad_frame=s.BadFrame(count=3))
    yield "entered-safe", 0, s.Event(**head, entered_safe=s.EnteredSafe(cause=s.LINK_LOST))
    yield "fault-raised", 0, s.Event(**head, fault_raised=s.FaultRaised(faults=0b00001))


def frame(flags, sequence, payload):
    header = struct.pack("<HBBII", 0x5252, 1, flags, sequence, len(payload))
    return header + struct.pack("<I", zlib.crc32(header)) + payload + struct.pack("<I", zlib.crc32(payload))


def philox(counter, key):
    """Philox4x32-10 (Salmon et al., SC 2011)."""
    c, k, mask = list(counter), list(key), 0xFFFFFFFF
    for turn in range(10):
        if turn:
            k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & mask, (p >> 32) ^ c[3] ^ k[1], p & mask]
    return c


def noise():
    """Known answers of the sampling noise, to 12 decimals."""
    for seed, sample, tick, channel in [
        (0, 0, 0, 0), (0, 0, 0, 1), (0, 0, 1, 0), (0, 1, 0, 0), (1, 0, 0, 0), (42, 7, 199, 1),
        (0xFEDCBA9876543210, 1000, 50, 0), (2**64 - 1, 2**32 - 1, 2**32 - 1, 1), (0, 13_369, 0, 0), (0, 23_421, 0, 0),
    ]:
        block = philox((sample, tick, channel, 0x57494E52), (seed & 0xFFFFFFFF, seed >> 32))
        u0, u1 = ((word + 0.5) / 2**32 for word in block[:2])
        value = math.sqrt(-2 * math.log(u0)) * math.cos(2 * math.pi * u1)
        yield {
            "seed": str(seed), "sample": sample, "tick": tick, "channel": channel, "words": block[:2],
            "xi": f"{value:.12f}", "held": f"{max(-4.0, min(4.0, value)):.12f}",
        }


def write(name, document):
    (VECTORS / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="ascii")


def main():
    for old in VECTORS.glob("*.json"):
        old.unlink()
    for kind, source, first in (("request", requests, 1), ("response", responses, 0x10000), ("event", events, 0)):
        for number, (name, flags, message) in enumerate(source()):
            sequence = first + number if first else 0
            write(f"{kind}-{name}", {
                "message": message.DESCRIPTOR.full_name, "flags": flags, "sequence": sequence,
                "json": json_format.MessageToDict(message),
                "frame": frame(flags, sequence, message.SerializeToString(deterministic=True)).hex(),
            })
    write("noise", {"noise": list(noise())})


if __name__ == "__main__":
    main()
