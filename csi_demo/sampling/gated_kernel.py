"""A Gated PixelCNN, compiled: one row of the picture a call, its hole pixels drawn one after another.

Arrays are as `arithmetic` has them. A version is a sample under what is known of its face, or, from n on, the same
sample with nothing known of it. Layer l is needed (layers - 1 - l) * reach positions around the hole, its input one
more reach; p are the stacks' channels, and a pair is what a gate takes, 2 p.
"""

from __future__ import annotations

import math

import numpy as np

from .arithmetic import compiled, copy, dot, exp_of, log_of, relu_of, sigmoid_of, tanh_of

LEVELS, CHANNEL = 256, 9  # levels; numbers that describe an intensity, as of `level_heads.intensity_features`
TINY, NARROWEST, WIDEST, FOLLOWS, LOG_APART = 1e-30, -6.0, 0.0, 0.88, math.log(0.4)  # as in level_heads


@compiled
def _add(source, source_at, target, target_at, width, count):
    """target[p] += source, `count` rows of `width` numbers."""
    x = source[source_at : source_at + width]
    for p in range(count):
        y = target[target_at + p * width : target_at + (p + 1) * width]
        for i in range(width):
            y[i] += x[i]


@compiled
def _rectify(x):
    """x = max(x, 0), in place."""
    for i in range(len(x)):
        x[i] = relu_of(x[i])


@compiled
def _gate(pair, pair_at, target, target_at, width, adds):
    """target = tanh(a) * sigmoid(b) of one position, or more by it; its pair is a (width), then b (width)."""
    a, b = pair[pair_at : pair_at + width], pair[pair_at + width : pair_at + 2 * width]
    y = target[target_at : target_at + width]
    if adds:
        for i in range(width):
            y[i] += tanh_of(a[i]) * sigmoid_of(b[i])
    else:
        for i in range(width):
            y[i] = tanh_of(a[i]) * sigmoid_of(b[i])


@compiled
def _vertical(r, version, own, hole, span, sizes, seen, biases, weights, offsets, ring, work):
    """One version's vertical stack of a row and, where it has hole pixels, what it gives to the horizontal one."""
    height, width = hole.shape
    samples, _, layers, p, reach, first, described, adds = sizes
    top, left, right, own_left, own_right = span
    v, raised, inputs, given = work[0], work[1], work[2], work[3]
    pair, line = 2 * p, (width + 2 * reach) * p

    lo, hi = max(0, left - layers * reach), min(width, right + layers * reach)
    depth = (2 * first + 1) * described
    copy(offsets[0], 0, 0, v, lo * p, p, hi - lo)
    for j in range(first):
        at = ((version % samples * (height + first) + r + j) * (width + 2 * first) + lo) * described
        dot(v, lo * p, p, seen, at, described, weights[0], j * depth * p, p, depth, hi - lo)
    if own_right > own_left:
        start = max(0, own_left - layers * reach)
        at = (version * layers * (width + reach) + start + reach) * p
        copy(v, start * p, p, inputs, at, p, own_right - start)
        _add(offsets[1], 0, inputs, at, p, own_right - start)
    depth = (2 * reach + 1) * p
    for layer in range(layers):
        after, slots = (layers - 1 - layer) * reach, (version * layers + layer) * (reach + 1)
        if r < top - after - reach:
            break
        lo, hi = max(0, left - after - reach), min(width, right + after + reach)
        copy(v, lo * p, p, ring, (slots + r % (reach + 1)) * line + (lo + reach) * p, p, hi - lo)
        if r < top - after:
            break
        lo, hi = max(0, left - after), min(width, right + after)
        bias_step = layers * 2 * pair
        bias_at = (own * height + r) * width * bias_step + layer * 2 * pair
        copy(biases, bias_at + lo * bias_step, bias_step, raised, lo * pair, pair, hi - lo)
        _add(offsets[2], layer * pair, raised, lo * pair, pair, hi - lo)
        for j in range(reach + 1):
            at = (slots + (r - reach + j) % (reach + 1)) * line + lo * p
            weight = (layer * (reach + 1) + j) * depth * pair
            dot(raised, lo * pair, pair, ring, at, p, weights[2], weight, pair, depth, hi - lo)
        if own_right > own_left:
            start = max(0, own_left - after)
            at = ((version * layers + layer) * width + start) * pair
            copy(biases, bias_at + start * bias_step + pair, bias_step, given, at, pair, own_right - start)
            _add(offsets[3], layer * pair, given, at, pair, own_right - start)
            weight = layer * pair * pair
            dot(given, at, pair, raised, start * pair, pair, weights[3], weight, pair, pair, own_right - start)
        for c in range(lo, hi):
            _gate(raised, c * pair, v, c * p, p, adds)


@compiled
def _horizontal(r, begin, stop, hole, span, sizes, seen, weights, offsets, work):
    """The horizontal stack of columns begin to stop - 1, whose pixels but the last are known. One column: of all
    samples in the same step.
    """
    height, width = hole.shape
    samples, versions, layers, p, reach, first, described, _ = sizes
    own_left, pair, row = span[3], 2 * p, (width + reach) * p
    inputs, given, gated = work[2], work[3], work[4]
    one = stop - begin == 1
    # From one position to the next: versions of a column, or columns of a version.
    input_step = layers * row if one else p
    given_step = layers * width * pair if one else pair
    gated_step = width * layers * p if one else layers * p
    for version in range(1 if one else versions):
        lo = max(begin, own_left - layers * reach)
        for other in range(versions if one else 1):  # pixels are the samples', whatever is known of them
            place = version + other
            at = ((place % samples * (height + first) + r + first) * (width + 2 * first) + lo) * described
            target = (place * layers * (width + reach) + lo + reach) * p
            count = 1 if one else stop - lo
            dot(inputs, target, p, seen, at, described, weights[1], 0, p, first * described, count)
        for layer in range(layers):
            lo = max(begin, own_left - (layers - 1 - layer) * reach)
            if lo >= stop:
                break
            count = versions if one else stop - lo
            source = (version * layers + layer) * row + lo * p
            at, target = ((version * layers + layer) * width + lo) * pair, ((version * width + lo) * layers + layer) * p
            weight = layer * (reach + 1) * p * pair
            dot(given, at, given_step, inputs, source, input_step, weights[4], weight, pair, (reach + 1) * p, count)
            for k in range(count):
                _gate(given, at + k * given_step, gated, target + k * gated_step, p, False)
            if layer == layers - 1:
                break
            source += reach * p
            for k in range(count):
                copy(inputs, source + k * input_step, 0, inputs, source + row + k * input_step, p, 1)
                _add(offsets[4], layer * p, inputs, source + row + k * input_step, p, 1)
            weight = layer * p * p
            dot(inputs, source + row, input_step, gated, target, gated_step, weights[5], weight, p, p, count)


@compiled
def _levels(out, at, anchors, known, earlier, grid, bumps, total):
    """total = logarithm of a sum of logistic densities at the levels; see `level_heads._levels`. known: how many
    channels came before, earlier: their intensities; bumps: 3 numbers, overwritten."""
    highest, whole = -np.inf, 0.0
    for k in range(anchors):
        highest = max(highest, np.float64(out[at + k]))
    for k in range(anchors):
        whole += math.exp(out[at + k] - highest)
    total[:] = TINY
    for k in range(anchors):
        scale = min(max(np.float64(out[at + 2 * anchors + k]), NARROWEST), WIDEST)
        bumps[0] = math.exp(out[at + k] - highest - scale) / whole
        bumps[1] = out[at + anchors + k]
        bumps[2] = math.exp(-scale)
        for channel in range(known):
            bumps[1] += out[at + (3 + channel) * anchors + k] * earlier[channel]
        height, mean, narrowness = bumps[0], bumps[1], bumps[2]
        for i in range(LEVELS):
            below = sigmoid_of(-abs((grid[i] - mean) * narrowness))
            total[i] += height * (below - below * below)
    for i in range(LEVELS):
        total[i] = log_of(total[i])


@compiled
def _picture(prediction, at, channel, earlier, grid, share, bumps, total):
    """total += share * logits of a channel in the context's prediction; see `SoftmaxHead.pictured`. bumps: 3
    numbers, overwritten."""
    bumps[0], bumps[1] = prediction[at], prediction[at + 1]
    if channel:
        bumps[0] += FOLLOWS * (earlier[channel - 1] - prediction[at - 2])
        bumps[1] += LOG_APART
    bumps[2] = math.exp(-bumps[1])
    mean, narrowness, twice = bumps[0], bumps[2], share + share
    for i in range(LEVELS):
        far = abs((grid[i] - mean) * narrowness)
        total[i] += twice * log_of(sigmoid_of(far)) - share * far


@compiled
def _inverted(logits, weights, uniform):
    """The level at which the cumulative distribution reaches a number; weights: (256), overwritten."""
    highest, total, reached = np.max(logits), 0.0, 0.0
    for i in range(LEVELS):
        weights[i] = exp_of(logits[i] - highest)
    for i in range(LEVELS):
        total += weights[i]
    for i in range(LEVELS):
        reached += weights[i]
        if reached / total >= uniform:
            return i
    return LEVELS - 1


@compiled
def _draw(r, column, done, total, hole, sizes, layout, fill, work):
    """One pixel of every sample, whose features both stacks have prepared; see `gated.draw`."""
    height, width = hole.shape
    (table, _, _, head), (seen, own, _, uniforms, context, prediction, sampling, _, pixels, nll) = layout, fill
    samples, versions, layers, p, _, first, described, _ = sizes
    features, hidden, narrow, out, earlier, bumps, logits, weights = work[5:]
    wide, outs = len(features) // versions, len(out) // versions
    skip, skip_bias, trunk, trunk_bias, before, before_bias, last, last_bias, anchors = head
    temperature, guidance, share, grid = sampling[0], sampling[1], sampling[2], table[LEVELS * CHANNEL :]
    copy(skip_bias, 0, 0, features, 0, wide, versions)
    at, step = column * layers * p, width * layers * p
    dot(features, 0, wide, work[4], at, step, skip, 0, wide, layers * p, versions)
    _rectify(features)
    copy(trunk_bias, 0, 0, hidden, 0, 3 * wide, versions)
    dot(hidden, 0, 3 * wide, features, 0, wide, trunk, 0, 3 * wide, wide, versions)
    for channel in range(3):
        copy(hidden, channel * wide, 3 * wide, narrow, 0, wide, versions)
        if channel:
            _add(before_bias, (channel - 1) * wide, narrow, 0, wide, versions)
            for version in range(versions):
                s, weight = version % samples, (channel - 1) * CHANNEL * wide
                for k in range(CHANNEL):
                    for c in range(channel):
                        earlier[k * channel + c] = table[int(pixels[s, r, column, c]) * CHANNEL + k]
                dot(narrow, version * wide, wide, earlier, 0, 0, before, weight, wide, channel * CHANNEL, 1)
        _rectify(narrow)
        copy(last_bias, channel * outs, 0, out, 0, outs, versions)
        dot(out, 0, outs, narrow, 0, wide, last, channel * wide * outs, outs, wide, versions)
        for s in range(samples):
            for c in range(channel):
                earlier[c] = table[int(pixels[s, r, column, c]) * CHANNEL]
            likely = 0.0
            for version in range(s, versions, samples):
                z, free = logits[version // samples], version * outs + (3 + channel) * anchors
                said = ((own[version] * total + done) * 3 + channel) * LEVELS
                _levels(out, version * outs, anchors, channel, earlier, grid, bumps, z)
                x, y = out[free : free + LEVELS], context[said : said + LEVELS]
                for i in range(LEVELS):
                    z[i] += x[i] + y[i]
                if version == s:
                    highest = np.max(z)
                    for i in range(LEVELS):
                        weights[i] = exp_of(z[i] - highest)
                    for i in range(LEVELS):
                        likely += weights[i]
                    likely = math.log(likely) + highest
                    logits[2][:] = z
                if share > 0.0:
                    _picture(prediction, said // LEVELS * 2, channel, earlier, grid, share, bumps, z)
            liked, plain = logits[0], logits[1]
            least = np.max(liked) - sampling[3]
            for i in range(LEVELS):
                wanted = liked[i]
                if versions > samples:
                    wanted = plain[i] + guidance * (wanted - plain[i])
                liked[i] = wanted / temperature if liked[i] >= least else -np.inf
            level = _inverted(liked, weights, uniforms[s, r, column, channel])
            nll[s, r, column] += likely - logits[2, level]
            pixels[s, r, column, channel] = level
    for s in range(samples):
        at = ((s * (height + first) + r + first) * (width + 2 * first) + column + first) * described
        for k in range(CHANNEL):
            for c in range(3):
                seen[at + 3 * k + c] = table[int(pixels[s, r, column, c]) * CHANNEL + k]


@compiled
def fill_row(r, done, total, hole, span, sizes, layout, fill, work):
    """Computes row r and draws its hole pixels; returns how many of the hole's pixels are done.

    done, total: the hole's pixels in rows above, and all; hole: (H, W), true = hole; span: first row and first column
    with hole pixels, column after the last; sizes: samples, versions, layers, p, reach of a layer and of the first one,
    numbers that describe a pixel, whether the vertical stack adds. layout: table, what describes each level (256, 9),
    then the levels' intensities; weights, offsets and head, as of `gated_compiled.Layout`. fill: seen, (n, H + first,
    W + 2 first, described), zeros beyond the picture: `first` rows above, as many columns at either side; own:
    (versions), which of m pictures' conditions a version is drawn under; biases: (m, H, W, layers, 4 p), the
    conditions'; uniforms: (n, H, W, 3); context: (m, total, 3, 256), logits; prediction: (m, total, 3, 2), means and
    log-scales; sampling: temperature, guidance, weight of the prediction, support; ring, as work, of `GatedFill`;
    pixels: (n, H, W, 3), levels, and nll: (n, H, W), nats, written.
    """
    (_, weights, offsets, _), (seen, own, biases, _, _, _, _, ring, _, _) = layout, fill
    own_left, own_right, width = 0, 0, hole.shape[1]
    for column in range(width):
        if hole[r, column]:
            own_left, own_right = own_left if own_right else column, column + 1
    spans = (span[0], span[1], span[2], own_left, own_right)
    for version in range(sizes[1]):
        _vertical(r, version, own[version], hole, spans, sizes, seen, biases, weights, offsets, ring, work)
    begin = max(0, own_left - sizes[2] * sizes[4])
    while begin < own_right:
        stop = begin
        while not hole[r, stop]:
            stop += 1
        stop += 1
        _horizontal(r, begin, stop, hole, spans, sizes, seen, weights, offsets, work)
        _draw(r, stop - 1, done, total, hole, sizes, layout, fill, work)
        begin, done = stop, done + 1
    return done
