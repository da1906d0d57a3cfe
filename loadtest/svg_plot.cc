#include "loadtest/svg_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace dormouse::loadtest {
namespace {

// Pixels: a picture that fits a page and a screen.
constexpr double kWidth = 960;
constexpr double kLeft = 80;
constexpr double kRight = 20;
constexpr double kTop = 50;
constexpr double kPanelHeight = 220;
constexpr double kPanelGap = 60;
constexpr int kTicks = 5;

std::string escaped(const std::string& text) {
  std::string made;
  for (char c : text) {
    if (c == '&')
      made += "&amp;";
    else if (c == '<')
      made += "&lt;";
    else if (c == '>')
      made += "&gt;";
    else
      made += c;
  }
  return made;
}

struct Scale {
  double low = 0;
  double high = 1;
  bool logarithmic = false;

  double place(double value) const {  // 0 to 1
    if (!logarithmic) return (value - low) / (high - low);
    return (std::log10(value) - std::log10(low)) / (std::log10(high) - std::log10(low));
  }
  double tick(int i) const {
    double part = double(i) / kTicks;
    if (!logarithmic) return low + part * (high - low);
    return std::pow(10, std::log10(low) + part * (std::log10(high) - std::log10(low)));
  }
};

bool shown(const PlotPanel& panel, double value) { return !panel.logarithmic || value > 0; }

// To whole decades.
Scale decades(double least, double most) {
  Scale scale{.logarithmic = true};
  if (most <= 0) return {.low = 1, .high = 10, .logarithmic = true};
  scale.low = std::pow(10, std::floor(std::log10(least)));
  scale.high = std::pow(10, std::ceil(std::log10(most) + 1e-9));
  if (scale.high <= scale.low) scale.high = scale.low * 10;
  return scale;
}

Scale scale_of(const PlotPanel& panel) {
  double least = INFINITY;
  double most = 0;
  for (const PlotLine& line : panel.lines) {
    for (auto [x, value] : line.points) {
      if (!shown(panel, value)) continue;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
  if (panel.logarithmic) return decades(least, most);
  return most == 0 ? Scale{} : Scale{.high = most * 1.05};
}

Scale axis_of(const std::vector<PlotPanel>& panels, const PlotAxis& axis) {
  double least = INFINITY;
  double most = axis.logarithmic ? 0 : 1;
  for (const PlotPanel& panel : panels) {
    for (const PlotLine& line : panel.lines) {
      for (auto [x, value] : line.points) {
        if (axis.logarithmic && x <= 0) continue;
        least = std::min(least, x);
        most = std::max(most, x);
      }
    }
  }
  return axis.logarithmic ? decades(least, most) : Scale{.high = most};
}

void draw_panel(const PlotPanel& panel, double top, const Scale& axis, const std::string& unit,
                std::string& svg) {
  auto out = std::back_inserter(svg);
  double width = kWidth - kLeft - kRight;
  Scale scale = scale_of(panel);
  fmt::format_to(out, "<text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>\n", kLeft, top - 8,
                 escaped(panel.title));
  for (int i = 0; i <= kTicks; ++i) {
    double value = scale.tick(i);
    double y = top + kPanelHeight * (1 - scale.place(value));
    double x = kLeft + width * i / kTicks;
    fmt::format_to(out,
                   "<path d=\"M{} {:.1f}H{}\" stroke=\"#ddd\"/>"
                   "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:.4g}</text>\n"
                   "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.4g} {}</text>\n",
                   kLeft, y, kWidth - kRight, kLeft - 6, y + 4, value, x, top + kPanelHeight + 16,
                   axis.tick(i), escaped(unit));
  }
  double legend = kWidth - kRight;
  for (const PlotLine& line : panel.lines) {
    std::string path;
    std::string dots;
    for (auto [at, value] : line.points) {
      if (!shown(panel, value) || (axis.logarithmic && at <= 0)) continue;
      double x = kLeft + width * axis.place(at);
      double y = top + kPanelHeight * (1 - scale.place(value));
      fmt::format_to(std::back_inserter(path), "{}{:.1f} {:.1f}", path.empty() ? 'M' : 'L', x, y);
      if (!line.dots) continue;
      fmt::format_to(std::back_inserter(dots),
                     "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\" fill=\"{}\"/>\n", x, y,
                     line.color);
    }
    fmt::format_to(out, "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\"/>\n",
                   path.empty() ? "M0 0" : path, line.color);
    svg += dots;
    fmt::format_to(out, "<text x=\"{}\" y=\"{}\" fill=\"{}\" text-anchor=\"end\">{}</text>\n",
                   legend, top - 8, line.color, escaped(line.name));
    // About 7 pixels a letter in this font, and a gap.
    legend -= 7.0 * double(line.name.size()) + 16;
  }
}

}  // namespace

std::string svg_plot(const std::string& title, const std::vector<PlotPanel>& panels,
                     const PlotAxis& axis) {
  Scale scale = axis_of(panels, axis);
  double height = kTop + double(panels.size()) * (kPanelHeight + kPanelGap);
  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} "
      "{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" "
      "fill=\"white\"/>\n<text x=\"{2}\" y=\"20\" font-size=\"15\">{3}</text>\n",
      kWidth, height, kLeft, escaped(title));
  for (size_t i = 0; i < panels.size(); ++i) {
    draw_panel(panels[i], kTop + double(i) * (kPanelHeight + kPanelGap), scale, axis.unit, svg);
  }
  return svg + "</svg>\n";
}

}  // namespace dormouse::loadtest
