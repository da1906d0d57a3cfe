#pragma once
// A plot over time as SVG 1.1, with nothing but lines and text: panels one above the other, each
// with its own scale.

#include <string>
#include <utility>
#include <vector>

namespace dormouse::loadtest {

struct PlotLine {
  std::string name;
  const char* color;                              // SVG's name of it
  std::vector<std::pair<double, double>> points;  // seconds, value; ascending seconds
};

struct PlotPanel {
  std::string title;         // with its unit
  bool logarithmic = false;  // then values of 0 are left out
  std::vector<PlotLine> lines;
};

std::string svg_plot(const std::string& title, const std::vector<PlotPanel>& panels);

}  // namespace dormouse::loadtest
