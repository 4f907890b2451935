#include "model_run.h"

namespace cenote::object {
namespace {

class ModelTest : public testing::TestWithParam<std::uint64_t> {};

TEST_P(ModelTest, AgreesWithTheNaiveStore) { ModelRun(GetParam()).run(700); }

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace cenote::object
