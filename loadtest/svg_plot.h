#pragma once
// A plot as SVG 1.1, over time or any other axis, with nothing but lines, dots and text: panels one
// above the other, each with its own scale.

#include <string>
#include <utility>
#include <vector>

namespace dormouse::loadtest {

struct PlotLine {
  std::string name;
  const char* color;                              // SVG's name of it
  std::vector<std::pair<double, double>> points;  // x (seconds), value; ascending x
  bool dots = false;                              // each point marked
};

struct PlotPanel {
  std::string title;         // with its unit
  bool logarithmic = false;  // then values of 0 are left out
  std::vector<PlotLine> lines;
};

// What the panels share: time from 0 on, unless something else is said.
struct PlotAxis {
  std::string unit = "s";
  bool logarithmic = false;  // then points at 0 are left out
};

std::string svg_plot(const std::string& title, const std::vector<PlotPanel>& panels,
                     const PlotAxis& axis = {});

}  // namespace dormouse::loadtest
