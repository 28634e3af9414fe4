"""The forward stream of a PixelCNN, compiled: one row of the picture a call, its hole pixels drawn one after another.

Arrays are as `arithmetic` has them.
"""

from __future__ import annotations

import math

import numpy as np

from .arithmetic import compiled, copy, dot, elu, sigmoid_of

MIN_LOG_SCALE, HALF_STEP = -7.0, 1.0 / 255.0  # as in logistic_mixture
LOGISTIC_VARIANCE, STEEPEST = math.pi**2 / 3.0, 1.0 - 1e-7  # likewise
NEGLIGIBLE = 1e-6  # a mixture component's weight that is left out of the entropy
# Columns of the table of regions: what is needed of a block, as first row, first column, column after the last.
V_IN, V_MIDDLE, V_OUT, H_IN, H_MIDDLE, H_OUT = range(6)


@compiled
def _gate(pair, pair_at, target, target_at, width):
    """target += a * sigmoid(b) for one pixel; its pair is a (width), then b (width)."""
    a, b = pair[pair_at : pair_at + width], pair[pair_at + width : pair_at + 2 * width]
    y = target[target_at : target_at + width]
    for i in range(width):
        y[i] += a[i] * sigmoid_of(b[i])


@compiled
def _vertical(r, s, hole, regions, filters, box, pixels, biases, weights, rings, work):
    """One sample's vertical stack of a row, and what it and the row above give to the row's horizontal stack."""
    height, width = hole.shape[1], hole.shape[2]
    blocks, pair = regions.shape[0], 2 * filters
    u, temp, pairs, h, shares, pair_shares, _, _ = work
    v_in, v_first, v_second, across = weights[0][0], weights[0][1], weights[0][2], weights[0][3]
    h_first, h_second = weights[0][5], weights[0][6]
    v_in_bias, v_second_bias, h_in_bias, h_second_bias = weights[1][0], weights[1][1], weights[1][2], weights[1][3]
    vertical_inputs, vertical_middles, horizontal_inputs, horizontal_middles = rings
    line, pixel_line = (width + 2) * filters, (width + 3) * 4
    bias_step = 2 * blocks * filters
    bias_at = ((s * box[2] + r - box[0]) * box[3] - box[1]) * bias_step

    lo, hi = regions[0, V_IN, 1], regions[0, V_IN, 2]
    copy(v_in_bias, 0, 0, u, lo * filters, filters, hi - lo)
    at = (s * (height + 2) + r) * pixel_line + (lo + 1) * 4
    dot(u, lo * filters, filters, pixels, at, 4, v_in, 0, filters, 12, hi - lo)
    dot(u, lo * filters, filters, pixels, at + pixel_line, 4, v_in, 12 * filters, filters, 12, hi - lo)
    if r >= regions[0, H_IN, 0]:
        for c in range(regions[0, H_IN, 1], regions[0, H_IN, 2]):
            x, y = u[c * filters : (c + 1) * filters], h[(s * width + c) * filters : (s * width + c + 1) * filters]
            for i in range(filters):
                y[i] = x[i] + h_in_bias[i]

    for b in range(blocks):
        here = ((s * blocks + b) * 2 + r % 2) * line
        above = ((s * blocks + b) * 2 + 1 - r % 2) * line
        if r < regions[b, V_IN, 0]:
            break
        lo, hi = regions[b, V_IN, 1], regions[b, V_IN, 2]
        elu(u, lo * filters, vertical_inputs, here + (lo + 1) * filters, (hi - lo) * filters)
        if r < regions[b, V_MIDDLE, 0]:
            break
        lo, hi = regions[b, V_MIDDLE, 1], regions[b, V_MIDDLE, 2]
        at, depth, weight = lo * filters, 3 * filters, b * 6 * filters * filters
        copy(biases, bias_at + lo * bias_step + 2 * b * filters, bias_step, temp, at, filters, hi - lo)
        dot(temp, at, filters, vertical_inputs, above + at, filters, v_first, weight, filters, depth, hi - lo)
        weight += depth * filters
        dot(temp, at, filters, vertical_inputs, here + at, filters, v_first, weight, filters, depth, hi - lo)
        elu(temp, at, vertical_middles, here + at + filters, (hi - lo) * filters)
        if r < regions[b, V_OUT, 0]:
            break
        lo, hi = regions[b, V_OUT, 1], regions[b, V_OUT, 2]
        at, weight = lo * filters, b * 6 * filters * pair
        copy(v_second_bias, b * pair, 0, pairs, lo * pair, pair, hi - lo)
        dot(pairs, lo * pair, pair, vertical_middles, above + at, filters, v_second, weight, pair, depth, hi - lo)
        weight += depth * pair
        dot(pairs, lo * pair, pair, vertical_middles, here + at, filters, v_second, weight, pair, depth, hi - lo)
        for c in range(lo, hi):
            _gate(pairs, c * pair, u, c * filters, filters)
        if r < regions[b, H_MIDDLE, 0]:
            continue
        lo, hi = regions[b, H_MIDDLE, 1], regions[b, H_MIDDLE, 2]
        at, depth = ((s * blocks + b) * width + lo) * filters, 2 * filters
        elu(u, lo * filters, temp, lo * filters, (hi - lo) * filters)
        copy(biases, bias_at + lo * bias_step + (2 * b + 1) * filters, bias_step, shares, at, filters, hi - lo)
        weight = b * filters * filters
        dot(shares, at, filters, temp, lo * filters, filters, across, weight, filters, filters, hi - lo)
        source, weight = above + lo * filters, b * 4 * filters * filters
        dot(shares, at, filters, horizontal_inputs, source, filters, h_first, weight, filters, depth, hi - lo)
        if r < regions[b, H_OUT, 0]:
            continue
        lo, hi = regions[b, H_OUT, 1], regions[b, H_OUT, 2]
        at, source, weight = ((s * blocks + b) * width + lo) * pair, above + lo * filters, b * 4 * filters * pair
        copy(h_second_bias, b * pair, 0, pair_shares, at, pair, hi - lo)
        dot(pair_shares, at, pair, horizontal_middles, source, filters, h_second, weight, pair, depth, hi - lo)


@compiled
def _horizontal(r, first, stop, hole, regions, filters, pixels, weights, rings, h, shares, pair_shares):
    """The horizontal stack of columns first to stop - 1, whose pixels but the last are known. One column: of all
    samples in the same step.
    """
    samples, height, width = hole.shape
    blocks, pair = regions.shape[0], 2 * filters
    h_in, h_first, h_second = weights[0][4], weights[0][5], weights[0][6]
    inputs, middles = rings[2], rings[3]
    line, depth = (width + 2) * filters, 2 * filters
    one = stop - first == 1
    # From one position to the next: samples of a column, or columns of a sample.
    ring_step = 2 * blocks * line if one else filters
    h_step = width * filters if one else filters
    share_step = blocks * width * filters if one else filters
    pair_step = blocks * width * pair if one else pair
    pixel_step = (height + 2) * (width + 3) * 4 if one else 4
    for s in range(1 if one else samples):
        lo = max(first, regions[0, H_IN, 1])
        count = samples if one else stop - lo
        at = ((s * (height + 2) + r + 2) * (width + 3) + lo) * 4
        if lo < stop:
            dot(h, (s * width + lo) * filters, h_step, pixels, at, pixel_step, h_in, 0, filters, 8, count)
        for b in range(blocks):
            here = ((s * blocks + b) * 2 + r % 2) * line
            lo = max(first, regions[b, H_IN, 1])
            if r < regions[b, H_IN, 0] or lo >= stop:
                break
            count = samples if one else stop - lo
            for p in range(count):
                at, target = (s * width + lo) * filters + p * h_step, here + (lo + 1) * filters + p * ring_step
                elu(h, at, inputs, target, filters)
            lo = max(first, regions[b, H_MIDDLE, 1])
            if r < regions[b, H_MIDDLE, 0] or lo >= stop:
                break
            count = samples if one else stop - lo
            at, source = ((s * blocks + b) * width + lo) * filters, here + lo * filters
            weight = (b * 4 + 2) * filters * filters
            dot(shares, at, share_step, inputs, source, ring_step, h_first, weight, filters, depth, count)
            for p in range(count):
                elu(shares, at + p * share_step, middles, source + filters + p * ring_step, filters)
            lo = max(first, regions[b, H_OUT, 1])
            if r < regions[b, H_OUT, 0] or lo >= stop:
                break
            count = samples if one else stop - lo
            at, source = ((s * blocks + b) * width + lo) * pair, here + lo * filters
            weight = (b * 4 + 2) * filters * pair
            dot(pair_shares, at, pair_step, middles, source, ring_step, h_second, weight, pair, depth, count)
            for p in range(count):
                _gate(pair_shares, at + p * pair_step, h, (s * width + lo) * filters + p * h_step, filters)


@compiled
def _guide(params, at, components, towards, variance, result):
    """One pixel's mixture times a normal distribution; see `logistic_mixture.guided`. towards: (3); result: (10 K)."""
    for k in range(components):
        evidence = 0.0
        for channel in range(3):
            place = (1 + channel) * components + k
            mean = np.float64(params[at + place])
            log_scale = max(np.float64(params[at + place + 3 * components]), MIN_LOG_SCALE)
            own = LOGISTIC_VARIANCE * math.exp(2.0 * log_scale)
            share = variance / (own + variance)
            result[place] = share * mean + (1.0 - share) * towards[channel]
            result[place + 3 * components] = log_scale + 0.5 * math.log(share)
            for before in range(channel):  # of red on green, of red on blue, of green on blue
                slope_at = (6 + channel + before) * components + k
                slope = math.tanh(np.float64(params[at + slope_at]))
                mean += slope * towards[before]
                result[slope_at] = math.atanh(min(max(share * slope, -STEEPEST), STEEPEST))
            evidence += math.log(share) - (mean - towards[channel]) ** 2 / (own + variance)
        result[k] = params[at + k] + 0.5 * evidence


@compiled
def _draw(params, at, noise, levels, pixels, target):
    """Draws one pixel; see `logistic_mixture.sample`. noise: (K + 3); levels: the 256 values of a channel."""
    components = len(noise) - 3
    chosen, best = 0, -np.inf
    for k in range(components):
        score = params[at + k] + noise[k]
        if score > best:
            chosen, best = k, score
    means, scales, coefficients = at + components + chosen, at + 4 * components + chosen, at + 7 * components + chosen
    red = green = 0.0
    for channel in range(3):
        mean = np.float64(params[means + channel * components])
        if channel == 1:
            mean += math.tanh(np.float64(params[coefficients])) * red
        elif channel == 2:
            mean += math.tanh(np.float64(params[coefficients + components])) * red
            mean += math.tanh(np.float64(params[coefficients + 2 * components])) * green
        scale = math.exp(max(np.float64(params[scales + channel * components]), MIN_LOG_SCALE))
        value = min(max(mean + scale * noise[components + channel], -1.0), 1.0)
        level = np.rint((value + 1.0) * 127.5)
        pixels[target + channel] = levels[int(level)]
        red, green = (level / 127.5 - 1.0, green) if channel == 0 else (red, level / 127.5 - 1.0)


@compiled
def _log_sigmoid(x):
    return -math.log1p(math.exp(-x)) if x > 0.0 else x - math.log1p(math.exp(x))


@compiled
def _log_level(x, mean, inverse_scale):
    """Logarithm of the probability that one component gives a level; see `logistic_mixture.log_prob`."""
    upper, lower = inverse_scale * (x - mean + HALF_STEP), inverse_scale * (x - mean - HALF_STEP)
    if x < -1.0 + HALF_STEP:
        return _log_sigmoid(upper)
    if x > 1.0 - HALF_STEP:
        return _log_sigmoid(-lower)
    return _log_sigmoid(upper) + _log_sigmoid(-lower) + math.log(-math.expm1(lower - upper))


@compiled
def entropy(params, x, edges, result):
    """Bits of uncertainty about pixels, as `logistic_mixture.entropy` has them.

    params: (P, 10 K) and edges: (256), the upper ends of the levels, float32; x: (P, 3); result: (P), written.
    """
    components = params.shape[1] // 10
    weights, means, table = np.empty(components), np.empty(components), np.empty(256, np.float32)
    for p in range(len(params)):
        own, total = params[p], 0.0
        for k in range(components):
            weights[k] = own[k]
        for channel in range(3):
            highest, whole = np.max(weights), 0.0
            for k in range(components):
                whole += math.exp(weights[k] - highest)
            table[:] = 0.0
            for k in range(components):
                mean = np.float64(own[(1 + channel) * components + k])
                if channel == 1:
                    mean += math.tanh(own[7 * components + k]) * x[p, 0]
                elif channel == 2:
                    mean += math.tanh(own[8 * components + k]) * x[p, 0] + math.tanh(own[9 * components + k]) * x[p, 1]
                means[k] = mean
                inverse = np.float32(math.exp(-max(np.float64(own[(4 + channel) * components + k]), MIN_LOG_SCALE)))
                middle, share = np.float32(mean), np.float32(math.exp(weights[k] - highest) / whole)
                if share < NEGLIGIBLE:
                    continue
                for i in range(256):
                    table[i] += share * sigmoid_of((edges[i] - middle) * inverse)
            below = 0.0
            for i in range(256):
                reached = np.float64(table[i]) if i < 255 else 1.0
                level = reached - below
                if level > 0.0:
                    total -= level * math.log(level)
                below = reached
            for k in range(components):
                scale = max(np.float64(own[(4 + channel) * components + k]), MIN_LOG_SCALE)
                weights[k] += _log_level(x[p, channel], means[k], math.exp(-scale))
        result[p] = total / math.log(2.0)


@compiled
def fill_row(r, done, draw, hole, union, regions, filters, box, weights, fill, rings, work):
    """Computes row r and, where `draw`, draws its hole pixels; returns how many of the hole's pixels are done.

    hole: (n, H, W) and union: (H, W), true = hole, of each sample and of any; done: pixels of the union in rows above;
    regions: (blocks, 6, 3); box: first row, first column, rows and columns that biases cover; weights, rings, work: of
    `compiled.Stream` and `Fill`. fill: pixels (n, H + 2, W + 3, 4), red, green, blue and 1, zeros beyond the picture:
    two rows above, two columns left, one right; biases (n, rows, columns, 2 * blocks, F), the convolutions' own
    included; noise (n, H, W, K + 3); guide: (n, H, W, 3) and a variance, 0: none; the 256 levels; params (pixels of the
    union, n, 10 K, padded), written, before they are guided. Where a hole is not to be drawn, pixels holds it already.
    """
    pixels, biases, noise, guide, levels, params = fill
    samples, width = hole.shape[0], hole.shape[2]
    _, _, _, h, shares, pair_shares, top, guided = work
    towards, variance = guide
    for s in range(samples):
        _vertical(r, s, hole, regions, filters, box, pixels, biases, weights, rings, work)
    if r < regions[0, H_IN, 0]:
        return done
    head, head_bias = weights[0][7], weights[1][4]
    size = len(head_bias)
    first, end = regions[0, H_IN, 1], regions[0, H_IN, 2]
    while first < end:
        stop = first
        while stop < end and not union[r, stop]:
            stop += 1
        found = stop < end
        stop = min(stop + 1, end)
        _horizontal(r, first, stop, hole, regions, filters, pixels, weights, rings, h, shares, pair_shares)
        first = stop
        if not found:
            continue
        at, column = done * samples * size, stop - 1
        for s in range(samples):
            elu(h, (s * width + column) * filters, top, s * filters, filters)
        copy(head_bias, 0, 0, params, at, size, samples)
        dot(params, at, size, top, 0, filters, head, 0, size, filters, samples)
        for s in range(samples):
            if draw and hole[s, r, column]:
                target = ((s * (hole.shape[1] + 2) + r + 2) * (width + 3) + column + 2) * 4
                if variance > 0.0:
                    _guide(params, at + s * size, noise.shape[3] - 3, towards[s, r, column], variance, guided)
                    _draw(guided, 0, noise[s, r, column], levels, pixels, target)
                else:
                    _draw(params, at + s * size, noise[s, r, column], levels, pixels, target)
        done += 1
    return done
