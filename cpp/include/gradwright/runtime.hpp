// Everything a generated kernel may use.
#pragma once

#include "gradwright/blas.hpp"
#include "gradwright/finite.hpp"
#include "gradwright/math.hpp"
#include "gradwright/parallel.hpp"
#include "gradwright/reduce.hpp"
#include "gradwright/view.hpp"
