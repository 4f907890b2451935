#include "pool_moves.h"

#include <gtest/gtest.h>

namespace cenote::cli {
namespace {

using namespace std::chrono_literals;

PoolMoves moving(std::uint64_t moved_bytes) {
  PoolMoves moves;
  moves.label = "p";
  moves.map_version = moves.active_version = 3;
  moves.moving = true;
  moves.state = "moving: engine 2 is drained";
  moves.moved_bytes = moved_bytes;
  moves.total_bytes = 100u << 20;
  return moves;
}

TEST(PoolMoves, RateAndTimeLeftFollowFromAnswers) {
  MoveRate rate;
  const Instant begun(1h);
  EXPECT_EQ(moves_text(moving(10u << 20), rate), "moving: engine 2 is drained: 10 %, 10.00 MiB of about 100.00 MiB");
  rate.add(10u << 20, begun);
  EXPECT_EQ(rate.bytes_per_second(), std::nullopt) << "of one answer";
  rate.add(30u << 20, begun + 10s);
  EXPECT_EQ(rate.bytes_per_second(), 2.0 * (1u << 20));
  EXPECT_EQ(rate.left(moving(30u << 20)), Duration(35s));
  EXPECT_EQ(moves_text(moving(30u << 20), rate),
            "moving: engine 2 is drained: 30 %, 30.00 MiB of about 100.00 MiB, 2.00 MiB/s, about 35 s left");
  const Json json = moves_json(moving(30u << 20), rate);
  EXPECT_EQ(json["percent"], 30);
  EXPECT_EQ(json["bytes_per_second"], 2u << 20);
  EXPECT_EQ(json["left_s"], 35);
  // What was long ago says nothing about how fast it is now.
  rate.add(30u << 20, begun + 20s);
  rate.add(30u << 20, begun + 30s);
  EXPECT_EQ(rate.bytes_per_second(), 0.0);
  EXPECT_EQ(rate.left(moving(30u << 20)), std::nullopt);
  // An engine was started again, and counts anew.
  rate.add(5, begun + 31s);
  EXPECT_EQ(rate.bytes_per_second(), std::nullopt);
}

TEST(PoolMoves, WhatDoesNotMoveHasNoProgress) {
  PoolMoves moves = moving(50u << 20);
  moves.moving = false;
  moves.state = "up";
  EXPECT_EQ(moves_text(moves, {}), "up");
  EXPECT_EQ(moves_json(moves, {})["percent"], 100);
}

}  // namespace
}  // namespace cenote::cli
